// SPDX-License-Identifier: Apache-2.0
// A curve of any length, kept in a bounded number of points.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace lierne {

/// Some points of a curve that follow each other, as one.
struct CurveStretch {
  double x = 0;      ///< mean
  double mean = 0;   ///< of y
  double least = 0;
  double largest = 0;
  std::size_t count = 0;
};

/// A curve in at most `most` stretches of equally many points each, the last one perhaps shorter: whenever there would be more,
/// each two neighbours become one. Points that are not finite are left out.
/// Law: least and largest of all stretches are those of all points; so is the mean, up to rounding. What was added in one order
/// gives the same stretches whenever they are asked for.
/// Example: `ThinnedCurve losses; losses.add(step, loss); draw(losses.stretches());`
class ThinnedCurve {
 public:
  explicit ThinnedCurve(std::size_t most = 512) : most_(std::max<std::size_t>(2, most)) {}

  void add(double x, double y) {
    if (!std::isfinite(x) || !std::isfinite(y)) return;
    CurveStretch const point{.x = x, .mean = y, .least = y, .largest = y, .count = 1};
    if (!stretches_.empty() && stretches_.back().count < each_) {
      stretches_.back() = joined(stretches_.back(), point);
      return;
    }
    if (stretches_.size() == most_) halve();
    // After halving the last stretch may have room again.
    if (!stretches_.empty() && stretches_.back().count < each_) stretches_.back() = joined(stretches_.back(), point);
    else stretches_.push_back(point);
  }

  std::vector<CurveStretch> const& stretches() const { return stretches_; }
  bool empty() const { return stretches_.empty(); }

 private:
  static CurveStretch joined(CurveStretch const& a, CurveStretch const& b) {
    auto const n = static_cast<double>(a.count), m = static_cast<double>(b.count);
    return {.x = (n * a.x + m * b.x) / (n + m),
            .mean = (n * a.mean + m * b.mean) / (n + m),
            .least = std::min(a.least, b.least),
            .largest = std::max(a.largest, b.largest),
            .count = a.count + b.count};
  }
  void halve() {
    std::size_t const half = (stretches_.size() + 1) / 2;
    for (std::size_t i = 0; i < half; ++i) {
      stretches_[i] = 2 * i + 1 < stretches_.size() ? joined(stretches_[2 * i], stretches_[2 * i + 1]) : stretches_[2 * i];
    }
    stretches_.resize(half);
    each_ *= 2;
  }

  std::size_t most_;
  std::size_t each_ = 1;  // points a stretch
  std::vector<CurveStretch> stretches_;
};

}  // namespace lierne
