// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/dtype.hpp"

#include <doctest/doctest.h>

using namespace lierne;

static_assert(dtype(Float::bfloat16) == bfloat16);
static_assert(dtype(Float::float32) == float32);
static_assert(dtype(Float::float64) == float64);
static_assert(dtype(BFloat16::master) == float32 && dtype(BFloat16::compute) == bfloat16);

TEST_CASE("a format has as many bytes as its dtype, and the same name") {
  for (auto const format : {Float::bfloat16, Float::float32, Float::float64}) {
    CHECK(static_cast<std::size_t>(bytes_of(format)) == c10::elementSize(dtype(format)));
  }
  CHECK(std::string(name(Float::bfloat16)) == "bfloat16");
  CHECK(at::empty({1}, dtype(Float::bfloat16)).itemsize() == 2);
}
