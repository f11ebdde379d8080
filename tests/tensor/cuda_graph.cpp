// SPDX-License-Identifier: Apache-2.0
// What can be said without a GPU. tests/cuda captures steps.
#include "lierne/tensor/cuda_graph.hpp"

#include <doctest/doctest.h>

using namespace lierne;

static_assert(std::is_base_of_v<Recorder, CudaGraph> && !std::is_copy_constructible_v<CudaGraph>);

TEST_CASE("a graph where there is no GPU is refused with the reason") {
#ifdef LIERNE_CUDA
  CHECK_THROWS_WITH_AS(CudaGraph{at::kCPU}, "CUDA graph: expected a GPU such as cuda:0, found cpu", ArgumentError);
#else
  CHECK_THROWS_WITH_AS(CudaGraph{Device("cuda:0")},
                       "CUDA graph: cuda:0 asked of a program built without CUDA (build it with the cuda preset)", ArgumentError);
#endif
}
