// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/thinned_curve.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "lierne/core/random.hpp"

using namespace lierne;

TEST_CASE("a short curve is kept as it is") {
  ThinnedCurve curve(8);
  for (int k = 1; k <= 8; ++k) curve.add(k, 10.0 * k);
  REQUIRE(curve.stretches().size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    auto const& one = curve.stretches()[i];
    CHECK(one.x == static_cast<double>(i + 1));
    CHECK(one.mean == 10 * one.x);
    CHECK(one.least == one.mean);
    CHECK(one.largest == one.mean);
    CHECK(one.count == 1);
  }
}

TEST_CASE("a long curve is the same as equal parts of it, each by itself") {
  Random const random{5, 6};
  for (std::size_t most : {2, 7, 8, 512}) {
    for (std::size_t points : {1, 9, 100, 1000, 100'000}) {
      CAPTURE(most);
      CAPTURE(points);
      ThinnedCurve curve(most);
      std::vector<double> values;
      for (std::size_t i = 0; i < points; ++i) {
        values.push_back(random.normal(i));
        curve.add(static_cast<double>(i), values.back());
      }
      auto const& stretches = curve.stretches();
      REQUIRE(stretches.size() <= most);
      CHECK(2 * stretches.size() >= std::min(points, most));
      std::size_t begin = 0;
      for (auto const& one : stretches) {
        CHECK(((one.count & (one.count - 1)) == 0 || &one == &stretches.back()));
        double sum = 0, least = values[begin], largest = least;
        for (std::size_t i = begin; i < begin + one.count; ++i) {
          sum += values[i];
          least = std::min(least, values[i]);
          largest = std::max(largest, values[i]);
        }
        auto const n = static_cast<double>(one.count);
        CHECK(one.mean == doctest::Approx(sum / n).epsilon(1e-9));
        CHECK(one.x == doctest::Approx(static_cast<double>(begin) + (n - 1) / 2));
        CHECK(one.least == least);
        CHECK(one.largest == largest);
        begin += one.count;
      }
      CHECK(begin == points);
    }
  }
}

TEST_CASE("what is not finite is left out") {
  ThinnedCurve curve(4);
  curve.add(1, std::numeric_limits<double>::quiet_NaN());
  curve.add(2, std::numeric_limits<double>::infinity());
  CHECK(curve.empty());
  curve.add(3, 1);
  CHECK(curve.stretches().size() == 1);
}
