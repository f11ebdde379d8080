// SPDX-License-Identifier: Apache-2.0
// One element as a value: plain arithmetic in its own type.
#include "lierne/optim/kernel/lane.hpp"

#include <doctest/doctest.h>

using namespace lierne;

static_assert(Value<Lane<float>> && Value<Lane<double>>);
static_assert(sizeof(Lane<float>) == sizeof(float));
static_assert((2.0 * Lane<float>(3) - 1.0).value == 5.0f);
static_assert(select(Lane<double>(1) < 2.0, Lane<double>(3), Lane<double>(4)).value == 3);

TEST_CASE("a float's operation rounds to float, even beside a double literal") {
  volatile float const factor = static_cast<float>(0.1);
  int differ = 0;
  for (int i = 1; i < 100; ++i) {
    volatile float const value = static_cast<float>(i) / 97.0f;
    CHECK((0.1 * Lane<float>(value)).value == factor * value);
    differ += factor * value != static_cast<float>(0.1 * static_cast<double>(value));
  }
  CHECK(differ > 0);  // widening to double would have shown
}

TEST_CASE("sqrt is the correctly rounded one") {
  CHECK(sqrt(Lane<float>(2)).value == std::sqrt(2.0f));
  CHECK(sqrt(Lane<double>(2)).value == std::sqrt(2.0));
  CHECK(std::isnan(sqrt(Lane<double>(-1)).value));
}
