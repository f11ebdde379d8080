// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/operations.hpp"

#include <doctest/doctest.h>

using namespace lierne;

TEST_CASE("free functions and operators are ATen's") {
  auto const x = at::tensor({1.0, -2.0, 3.0}, float64);
  CHECK(at::equal(x * 2 + x / x - 1, at::tensor({2.0, -4.0, 6.0}, float64)));
  CHECK(at::equal(at::relu(-x), at::tensor({0.0, 2.0, 0.0}, float64)));
  CHECK((x > 0).sum().item().toLong() == 2);
}
