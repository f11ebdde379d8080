// SPDX-License-Identifier: Apache-2.0
// Lion against a recorded run of pytorch-optimizer.
#include "lierne/optim/lion.hpp"

#include <doctest/doctest.h>

#include "optim/one_element.hpp"
#include "optim/trajectory.hpp"

using namespace lierne;

static_assert(Layout<decltype(lion())>::fields == 1);

TEST_CASE("lion equals Lion") {
  LIERNE_CHECK_TRAJECTORY("lion", lion({.rate = 3e-4}) | decay(0.1, times_rate));
}

TEST_CASE("what is read and what is kept differ") {
  auto const found = test::directions(SplitMomentum<>{.read = 0.5, .kept = 0.25}, {4, -2});
  CHECK(found[0] == 2);                          // 0.5·0 + 0.5·4
  CHECK(found[1] == 0.5 * (0.75 * 4) + 0.5 * -2);  // of the kept 3
}

TEST_CASE("the sign of zero is zero") { CHECK(test::directions(signs(), {-3, 0, 1e-300}) == std::vector<double>{-1, 0, 1}); }
