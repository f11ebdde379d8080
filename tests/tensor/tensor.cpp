// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/tensor.hpp"

#include <doctest/doctest.h>

#include <type_traits>

using namespace lierne;

static_assert(std::is_same_v<Tensor, at::Tensor>);
static_assert(float32 == at::kFloat && float64 == at::kDouble && bfloat16 == at::kBFloat16 && int64 == at::kLong);
static_assert(float8_e4m3 == at::kFloat8_e4m3fn && float8_e5m2 == at::kFloat8_e5m2);

TEST_CASE("elements is the product of the extents") {
  CHECK(elements({3, 4, 5}) == 60);
  CHECK(elements({7}) == 7);
  CHECK(elements({}) == 1);
  CHECK(elements({3, 0, 5}) == 0);
  CHECK(elements({65536, 65536, 2}) == std::int64_t{1} << 33);
  CHECK(elements({3, 4, 5}) == at::empty({3, 4, 5}).numel());
}

TEST_CASE("a shape prints its extents") {
  CHECK(to_string(Shape{64, 176}) == "[64, 176]");
  CHECK(to_string(Shape{5}) == "[5]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(to_string(at::empty({2, 0, 3}).sizes()) == "[2, 0, 3]");
}
