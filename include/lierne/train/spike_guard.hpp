// SPDX-License-Identifier: Apache-2.0
// Tells a gradient norm that is far above those before it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <vector>

#include "lierne/core/error.hpp"

namespace lierne {

/// A norm is a spike where it exceeds `factor` times the median of the last norms that were none. The first `warm_up` norms
/// are none. Without a factor (0) nothing is.
/// Errors: `ArgumentError` for a factor between 0 and 1, which would skip ordinary steps.
/// Example: `SpikeGuard guard(4); if (guard.spike(norm)) skip();`
class SpikeGuard {
 public:
  static constexpr std::size_t window = 128, warm_up = 16;

  explicit SpikeGuard(double factor = 0) : factor_(factor) {
    check(factor == 0 || factor >= 1, "spike: expected 0 (off), or 1 or more times the median gradient norm, found ", factor);
  }

  /// Whether `norm` is a spike. One that is none counts for the next ones.
  bool spike(double norm) {
    if (factor_ == 0) return false;
    if (norms_.size() >= warm_up && norm > factor_ * median()) return true;
    norms_.push_back(norm);
    if (norms_.size() > window) norms_.pop_front();
    return false;
  }
  /// Of the norms that count; NaN before the first.
  double median() const {
    if (norms_.empty()) return std::nan("");
    std::vector<double> sorted(norms_.begin(), norms_.end());
    auto const middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }

  /// What a checkpoint keeps of it.
  std::vector<double> norms() const { return {norms_.begin(), norms_.end()}; }
  void restore(std::vector<double> const& norms) { norms_.assign(norms.begin(), norms.end()); }

 private:
  double factor_;
  std::deque<double> norms_;
};

}  // namespace lierne
