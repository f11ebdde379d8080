// SPDX-License-Identifier: Apache-2.0
// Where along its rates a variant is best: a parabola through its losses.
#pragma once

#include <limits>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/summary.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#endif

namespace lierne {

/// The mean over a candidate's seeds of the last tenth of their training losses; NaN if one of them diverged. Units: nats.
double final_loss(Candidate const& candidate);

/// A variant's losses along its rates. Units: nats a token.
struct RateFit {
  double log2_rate = std::numeric_limits<double>::quiet_NaN();  ///< the lowest point of the parabola
  double loss = std::numeric_limits<double>::quiet_NaN();       ///< there
  bool inside = false;  ///< whether the best rate that ran has neighbours on both sides: otherwise widen the grid
  std::vector<double> log2_rates{};  ///< those that ran, ascending
  std::vector<double> losses{};      ///< `final_loss` at each

  /// The loss between the rates that ran, by straight lines in log2 rate; NaN
  /// beyond them.
  double at(double log2) const;
  /// The least of `losses`; NaN if none is finite.
  double best_loss() const;
};

/// Fits loss = a (log2 rate - m)² + c by least squares to the best rate and up to two whole ones on each side of it.
/// The lowest point is the best rate itself where fewer than three are whole or the parabola opens downwards.
RateFit fit_rates(Variant const& variant);

#if LIERNE_BODIES
LIERNE_INLINE double final_loss(Candidate const& candidate) {
  double sum = 0;
  for (auto const& row : candidate.rows) {
    auto const last = std::max<std::size_t>(1, row.curve.size() / 10);
    if (row.diverged_at != 0 || row.curve.empty()) return std::numeric_limits<double>::quiet_NaN();
    double const total = std::accumulate(row.curve.end() - static_cast<std::ptrdiff_t>(last), row.curve.end(), 0.0,
                                         [](double all, CurvePoint const& point) { return all + point.loss; });
    sum += total / static_cast<double>(last);
  }
  return sum / static_cast<double>(candidate.rows.size());
}

LIERNE_INLINE double RateFit::at(double log2) const {
  for (std::size_t i = 0; i + 1 < log2_rates.size(); ++i) {
    if (log2 < log2_rates[i] || log2 > log2_rates[i + 1]) continue;
    double const part = (log2 - log2_rates[i]) / (log2_rates[i + 1] - log2_rates[i]);
    return losses[i] + part * (losses[i + 1] - losses[i]);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

LIERNE_INLINE double RateFit::best_loss() const {
  double best = std::numeric_limits<double>::quiet_NaN();
  for (double loss : losses) best = std::fmin(best, loss);
  return best;
}

LIERNE_INLINE RateFit fit_rates(Variant const& variant) {
  RateFit fit;
  std::vector<std::pair<double, double>> points;
  for (auto const& candidate : variant.candidates) points.emplace_back(std::log2(candidate.rate), final_loss(candidate));
  std::ranges::sort(points);
  for (auto const& [rate, loss] : points) {
    fit.log2_rates.push_back(rate);
    fit.losses.push_back(loss);
  }
  auto const count = points.size();
  std::size_t best = count;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::isfinite(fit.losses[i]) && (best == count || fit.losses[i] < fit.losses[best])) best = i;
  }
  if (best == count) return fit;
  fit.log2_rate = fit.log2_rates[best];
  fit.loss = fit.losses[best];
  fit.inside = best > 0 && best + 1 < count;
  // Sums of powers of x = log2 rate - best, and with y = loss - best.
  double power[5] = {}, with_y[3] = {};
  int whole = 0;
  for (std::size_t i = best < 2 ? 0 : best - 2; i < std::min(count, best + 3); ++i) {
    if (!std::isfinite(fit.losses[i])) continue;
    ++whole;
    double term = 1;
    for (int k = 0; k < 5; ++k) {
      power[k] += term;
      if (k < 3) with_y[k] += term * (fit.losses[i] - fit.losses[best]);
      term *= fit.log2_rates[i] - fit.log2_rates[best];
    }
  }
  if (whole < 3) return fit;
  // Cramer's rule for y = c + b x + a x².
  auto const determinant = [](double a, double b, double c, double d, double e, double f, double g, double h, double i) {
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  };
  double const all = determinant(power[0], power[1], power[2], power[1], power[2], power[3], power[2], power[3], power[4]);
  double const c = determinant(with_y[0], power[1], power[2], with_y[1], power[2], power[3], with_y[2], power[3], power[4]) / all;
  double const b = determinant(power[0], with_y[0], power[2], power[1], with_y[1], power[3], power[2], with_y[2], power[4]) / all;
  double const a = determinant(power[0], power[1], with_y[0], power[1], power[2], with_y[1], power[2], power[3], with_y[2]) / all;
  if (!(a > 0)) return fit;
  fit.log2_rate += -b / (2 * a);
  fit.loss += c - b * b / (4 * a);
  return fit;
}
#endif

}  // namespace lierne
