// SPDX-License-Identifier: Apache-2.0
// Ascent changes the sign of the gradient and of nothing else.
#include "lierne/optim/maximize.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/pass.hpp"

using namespace lierne;

static_assert(Layout<Maximize>::fields == 0 && Layout<Maximize>::numbers == 0);

TEST_CASE("the gradient changes its sign, zero included") {
  double const* const no_numbers = nullptr;
  Element<Lane<double>> at{.weight = 8, .gradient = 0, .direction = 5};
  run_stages<Maximize>(no_numbers, at, static_cast<Lane<double>*>(nullptr));
  CHECK(std::signbit(at.gradient.value));
  at.gradient = -3;
  run_stages<Maximize>(no_numbers, at, static_cast<Lane<double>*>(nullptr));
  CHECK(at.gradient.value == 3);
  CHECK(at.weight.value == 8);
  CHECK(at.direction.value == 5);
}
