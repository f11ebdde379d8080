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

TEST_CASE("fixed rounds to the digits that are asked for") {
  using lierne::fixed;
  CHECK(fixed(2.0 / 3, 2) == "0.67");
  CHECK(fixed(2, 0) == "2");
  CHECK(fixed(0.5, 1, true) == "+0.5");
  CHECK(fixed(-0.5, 1, true) == "-0.5");
  CHECK(fixed(std::numeric_limits<double>::quiet_NaN(), 2).empty());
  CHECK(fixed(std::numeric_limits<double>::max(), 2).size() == 312);
}

TEST_CASE("grouped sets a comma before each three digits") {
  using lierne::grouped;
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(-1234567.4) == "-1,234,567");
  CHECK(grouped(-123) == "-123");
  CHECK(grouped(123456789012.0) == "123,456,789,012");
}

TEST_CASE("durations have two digits behind each colon") {
  using lierne::duration;
  CHECK(duration(0) == "0:00");
  CHECK(duration(59.6) == "1:00");
  CHECK(duration(468) == "7:48");
  CHECK(duration(3599.4) == "59:59");
  CHECK(duration(3600) == "1:00:00");
  CHECK(duration(90061) == "25:01:01");
  CHECK(duration(-3) == "0:00");
  CHECK(duration(std::numeric_limits<double>::infinity()) == "?");
}
