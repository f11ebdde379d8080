// SPDX-License-Identifier: Apache-2.0
// The statistics of a sweep: means with their errors over seeds, and tests of paired differences.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "lierne/core/error.hpp"
#endif

namespace lierne {

/// A mean and its standard error.
struct Estimate {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double error = std::numeric_limits<double>::quiet_NaN();  ///< NaN for fewer than two values
  int count = 0;
};

/// Math: mean = Σx / n; error = √(Σ(x - mean)² / (n - 1) / n).
Estimate estimate(std::span<double const> values);

/// What the differences of two runs of the same seeds say.
struct PairedTest {
  Estimate difference{};  ///< ours - theirs
  double t = std::numeric_limits<double>::quiet_NaN();
  double p = std::numeric_limits<double>::quiet_NaN();  ///< two-sided; NaN for fewer than two pairs
};

/// Student's test of pairs. Math: d = ours - theirs; t = mean(d) / error(d) with n - 1 degrees of freedom. Where all
/// differences are equal, p is 1 if they are 0, else 0; where one is NaN, so is p.
/// Errors: `ArgumentError` for lists of two lengths.
PairedTest paired_test(std::span<double const> ours, std::span<double const> theirs);

/// The probability that |T| is at least |t| under Student's distribution. Math: I_x(ν/2, 1/2), x = ν / (ν + t²).
double student_two_sided(double t, double degrees);

/// The regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1].
/// Numerics: Lentz's continued fraction, relative error about 1e-14 for a, b below 10⁴.
double incomplete_beta(double a, double b, double x);

/// Probabilities of several tests made as large as their number demands; NaN stays NaN and does not count.
/// Math: of m sorted ones, p_(k) <- max over j ≤ k of min(1, (m - j + 1) p_(j)). Source: Holm 1979.
std::vector<double> holm(std::span<double const> probabilities);

#if LIERNE_BODIES
LIERNE_INLINE Estimate estimate(std::span<double const> values) {
  Estimate result{.count = static_cast<int>(values.size())};
  if (values.empty()) return result;
  auto const n = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return result;
  double squares = 0;
  for (double value : values) squares += (value - result.mean) * (value - result.mean);
  result.error = std::sqrt(squares / (n - 1) / n);
  return result;
}

LIERNE_INLINE PairedTest paired_test(std::span<double const> ours, std::span<double const> theirs) {
  check(ours.size() == theirs.size(), "paired test: expected two lists of one length, found ", ours.size(), " and ",
        theirs.size());
  std::vector<double> differences(ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) differences[i] = ours[i] - theirs[i];
  PairedTest test{.difference = estimate(differences)};
  if (differences.size() < 2 || std::isnan(test.difference.error)) return test;
  if (test.difference.error == 0) {
    test.t = test.difference.mean == 0 ? 0 : std::copysign(std::numeric_limits<double>::infinity(), test.difference.mean);
    test.p = test.difference.mean == 0 ? 1 : 0;
    return test;
  }
  test.t = test.difference.mean / test.difference.error;
  test.p = student_two_sided(test.t, static_cast<double>(differences.size() - 1));
  return test;
}

LIERNE_INLINE double student_two_sided(double t, double degrees) {
  return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
}

LIERNE_INLINE double incomplete_beta(double a, double b, double x) {
  check(a > 0 && b > 0 && x >= 0 && x <= 1, "incomplete beta: expected a, b > 0 and x in [0, 1], found ", a, ", ", b,
        ", ", x);
  if (x == 0 || x == 1) return x;
  // The fraction converges quickly on this side of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  double const beta = std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
  double const front = std::exp(a * std::log(x) + b * std::log1p(-x) - beta) / a;
  constexpr double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (std::abs(d) < tiny ? tiny : d);
  double fraction = d;
  for (int m = 1; m <= 1000; ++m) {
    for (bool even : {true, false}) {
      double const term = even ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                               : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 + term * d;
      d = 1 / (std::abs(d) < tiny ? tiny : d);
      c = 1 + term / c;
      c = std::abs(c) < tiny ? tiny : c;
      fraction *= c * d;
    }
    if (std::abs(c * d - 1) < 1e-16) break;
  }
  return front * fraction;
}

LIERNE_INLINE std::vector<double> holm(std::span<double const> probabilities) {
  std::vector<double> adjusted(probabilities.begin(), probabilities.end());
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < adjusted.size(); ++i) {
    if (!std::isnan(adjusted[i])) order.push_back(i);
  }
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return probabilities[i]; });
  double largest = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(order.size() - k) * probabilities[order[k]]));
    adjusted[order[k]] = largest;
  }
  return adjusted;
}
#endif

}  // namespace lierne
