// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/device.hpp"

#include <doctest/doctest.h>

using namespace lierne;

TEST_CASE("cpu is always there") { CHECK(open_device("cpu").is_cpu()); }

TEST_CASE("threads are as many as were asked for") {
  int const before = at::get_num_threads();
  set_threads(1);
  CHECK(at::get_num_threads() == 1);
  set_threads(before);
  CHECK(at::get_num_threads() == before);
}

TEST_CASE("a device that is none, or that is not there, is refused with the reason") {
  CHECK_THROWS_WITH_AS(open_device("tpu"), doctest::Contains("expected cpu, cuda or cuda:N, found 'tpu'"), ArgumentError);
  CHECK_THROWS_WITH_AS(open_device("cudax"), doctest::Contains("found 'cudax'"), ArgumentError);
#ifndef LIERNE_CUDA
  CHECK_THROWS_WITH_AS(open_device("cuda"), doctest::Contains("built without CUDA"), ArgumentError);
#endif
}
