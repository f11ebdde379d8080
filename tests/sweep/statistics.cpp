// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/statistics.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numbers>

#include "lierne/core/error.hpp"

using namespace lierne;
using doctest::Approx;

TEST_CASE("a mean has the standard error of its values") {
  std::array const values{1.0, 2.0, 3.0, 4.0};
  auto const result = estimate(values);
  CHECK(result.mean == 2.5);
  CHECK(result.error == Approx(0.6454972243679028).epsilon(1e-14));  // sqrt(5 / 3 / 4)
  CHECK(result.count == 4);
}

TEST_CASE("Student's distribution has its closed forms and its printed table") {
  for (double t : {0.1, 0.7, 1.0, 2.5, 12.0, 300.0}) {
    CAPTURE(t);
    CHECK(student_two_sided(t, 1) == Approx(1 - 2 / std::numbers::pi * std::atan(t)).epsilon(1e-11));
    CHECK(student_two_sided(t, 2) == Approx(1 - t / std::sqrt(2 + t * t)).epsilon(1e-9));
    double const angle = std::atan(t / std::sqrt(3.0));
    CHECK(student_two_sided(t, 3) ==
          Approx(1 - 2 / std::numbers::pi * (angle + std::sin(angle) * std::cos(angle))).epsilon(1e-8));
  }
  // Quantiles as tables print them: degrees, t, p.
  std::vector<std::array<double, 3>> const table{
      {4, 2.776, 0.05}, {9, 3.250, 0.01}, {2, 4.303, 0.05}, {30, 2.042, 0.05}, {120, 2.617, 0.01}};
  for (auto [degrees, t, p] : table) {
    CAPTURE(degrees);
    // The last printed digit of t moves p by less than this.
    CHECK(std::abs(student_two_sided(t, degrees) - p) < 4e-5);
    CHECK(student_two_sided(-t, degrees) == student_two_sided(t, degrees));
  }
}

TEST_CASE("the incomplete beta function has its closed forms") {
  for (double x : {0.0, 1e-6, 0.2, 0.5, 0.77, 0.999, 1.0}) {
    CAPTURE(x);
    for (double a : {0.5, 1.0, 3.0, 40.0}) {
      CHECK(incomplete_beta(a, 1, x) == Approx(std::pow(x, a)).epsilon(1e-12));
      CHECK(incomplete_beta(1, a, x) == Approx(1 - std::pow(1 - x, a)).epsilon(1e-12));
      CHECK(incomplete_beta(a, 2.5, x) + incomplete_beta(2.5, a, 1 - x) == Approx(1).epsilon(1e-12));
    }
    CHECK(incomplete_beta(0.5, 0.5, x) == Approx(2 / std::numbers::pi * std::asin(std::sqrt(x))).epsilon(1e-10));
  }
}

TEST_CASE("a paired test is that of the differences") {
  // Differences 1, 2, 3, 4, 5: mean 3, error sqrt(2.5 / 5), t = 3 sqrt(2) at 4 degrees.
  std::array const ours{2.0, 4.0, 6.0, 8.0, 10.0}, theirs{1.0, 2.0, 3.0, 4.0, 5.0};
  auto const test = paired_test(ours, theirs);
  CHECK(test.difference.mean == 3);
  CHECK(test.t == Approx(3 * std::sqrt(2.0)).epsilon(1e-14));
  // The closed form at 4 degrees: 1 - s(3 - s²)/2 with s = t / sqrt(4 + t²).
  double const s = test.t / std::sqrt(4 + test.t * test.t);
  CHECK(test.p == Approx(1 - s * (3 - s * s) / 2).epsilon(1e-10));
  CHECK(paired_test(theirs, ours).t == -test.t);
  CHECK(paired_test(theirs, ours).p == test.p);
}

TEST_CASE("Holm's correction is the textbook's") {
  std::array const given{0.01, 0.04, 0.03, 0.005, std::numeric_limits<double>::quiet_NaN()};
  auto const adjusted = holm(given);
  CHECK(adjusted[0] == Approx(0.03));
  CHECK(adjusted[1] == Approx(0.06));
  CHECK(adjusted[2] == Approx(0.06));
  CHECK(adjusted[3] == Approx(0.02));
  CHECK(std::isnan(adjusted[4]));
  CHECK(holm(std::array{0.9, 0.8}) == std::vector{1.0, 1.0});
}

TEST_CASE("few or equal values have what can be said of them, and no more") {
  CHECK(std::isnan(estimate({}).mean));
  std::array const one{5.0}, two{6.0};
  CHECK(estimate(one).mean == 5);
  CHECK(std::isnan(estimate(one).error));
  CHECK(paired_test(one, two).difference.mean == -1);
  CHECK(std::isnan(paired_test(one, two).p));
  std::array const a{1.0, 2.0}, b{2.0, 3.0};
  CHECK(paired_test(a, a).p == 1);
  CHECK(paired_test(a, b).p == 0);
  CHECK(std::isnan(paired_test(a, std::array{1.0, std::numeric_limits<double>::quiet_NaN()}).p));
  CHECK(paired_test(a, b).t == -std::numeric_limits<double>::infinity());
}

TEST_CASE("lists of two lengths and points outside the domain are refused") {
  std::array const one{1.0};
  std::array const two{1.0, 2.0};
  CHECK_THROWS_WITH_AS(paired_test(one, two), "paired test: expected two lists of one length, found 1 and 2", ArgumentError);
  CHECK_THROWS_AS(incomplete_beta(0, 1, 0.5), ArgumentError);
  CHECK_THROWS_AS(incomplete_beta(1, 1, 1.5), ArgumentError);
}
