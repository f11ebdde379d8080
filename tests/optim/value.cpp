// SPDX-License-Identifier: Apache-2.0
// The functions that every kind of value shares, on one element.
#include "lierne/optim/value.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "lierne/optim/kernel/lane.hpp"

using namespace lierne;

namespace {

using Number = Lane<double>;
double constexpr not_a_number = std::numeric_limits<double>::quiet_NaN();
double constexpr infinity = std::numeric_limits<double>::infinity();

}  // namespace

static_assert(Value<Lane<float>> && Value<Lane<double>>);
static_assert(!Value<double> && !Value<int>);
static_assert(maximum(Number(1), Number(2)).value == 2 && minimum(Number(1), 2.0).value == 1);
static_assert(clamp(Number(5), -2.0, 2.0).value == 2 && clamp(Number(-5), Number(-2), Number(2)).value == -2);
static_assert(absolute(Number(-3)).value == 3 && sign(Number(-3)).value == -1 && sign(Number(0)).value == 0);

TEST_CASE("maximum and minimum agree with the library, and NaN wins") {
  for (double a : {-infinity, -1.5, -0.0, 0.0, 2.0, infinity}) {
    for (double b : {-infinity, -1.5, -0.0, 0.0, 2.0, infinity}) {
      CHECK(maximum(Number(a), Number(b)).value == std::fmax(a, b));
      CHECK(minimum(Number(a), Number(b)).value == std::fmin(a, b));
      CHECK(maximum(Number(a), b).value == std::fmax(a, b));
      CHECK(minimum(Number(a), b).value == std::fmin(a, b));
    }
    CHECK(std::isnan(maximum(Number(a), Number(not_a_number)).value));
    CHECK(std::isnan(maximum(Number(not_a_number), Number(a)).value));
    CHECK(std::isnan(minimum(Number(a), Number(not_a_number)).value));
    CHECK(std::isnan(minimum(Number(not_a_number), Number(a)).value));
    CHECK(std::isnan(maximum(Number(not_a_number), a).value));
    CHECK(std::isnan(minimum(Number(not_a_number), a).value));
  }
  CHECK(std::isnan(clamp(Number(not_a_number), -1.0, 1.0).value));
}

TEST_CASE("absolute and sign at zeros, infinities and NaN") {
  CHECK(!std::signbit(absolute(Number(-0.0)).value));
  CHECK(!std::signbit(absolute(Number(0.0)).value));
  CHECK(absolute(Number(-infinity)).value == infinity);
  CHECK(std::isnan(absolute(Number(not_a_number)).value));
  CHECK(sign(Number(infinity)).value == 1);
  CHECK(sign(Number(-0.0)).value == 0);
  CHECK(sign(Number(not_a_number)).value == 0);
}
