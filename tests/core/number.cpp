// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/number.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "lierne/core/random.hpp"

using lierne::number;

TEST_CASE("number writes what people write") {
  CHECK(number(500000) == "500000");
  CHECK(number(1.3) == "1.3");
  CHECK(number(1e-5) == "1e-05");
  CHECK(number(-0.5) == "-0.5");
  CHECK(number(0) == "0");
}

TEST_CASE("number reads back as the same double") {
  lierne::Random const random{1, 2};
  for (std::uint64_t i = 0; i < 2000; ++i) {
    double const value = random.normal(i) * (i % 3 == 0 ? 1e300 : i % 3 == 1 ? 1e-300 : 1.0);
    REQUIRE(std::stod(number(value)) == value);
  }
  CHECK(number(1.0 / 3) != number(0.333333333333333));
}

TEST_CASE("number holds the longest doubles") {
  using Limits = std::numeric_limits<double>;
  for (double value : {-Limits::max(), -Limits::min(), -1.2345678901234567e-300}) {
    CHECK(std::stod(number(value)) == value);
  }
  CHECK(number(-Limits::denorm_min()) == "-5e-324");
  CHECK(number(Limits::infinity()) == "inf");
}
