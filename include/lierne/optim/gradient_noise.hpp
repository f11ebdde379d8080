// SPDX-License-Identifier: Apache-2.0
// The gradient-noise scale: up to which batch size more examples make a better step. Sees the standard library only.
#pragma once

#include <array>
#include <span>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <limits>

#include "lierne/core/error.hpp"
#endif

namespace lierne {

/// The squared norm of a gradient, and the examples it is a mean over. Units: sequences or tokens, the same for all.
struct GradientNorm {
  double examples = 0;
  double squared = 0;
};

/// B = tr Σ / |G|², where Σ is the covariance of one example's gradient and G its mean: batches well below B are nearly
/// free to grow, batches well above it waste examples.
///
/// Math: E|g_b|² = |G|² + tr Σ / b for the mean gradient g_b of b examples, so two sizes, small s and large L, give
/// |G|² ≈ (L|g_L|² - s|g_s|²) / (L - s) and tr Σ ≈ (|g_s|² - |g_L|²) / (1/s - 1/L). Both are unbiased and noisy, so
/// they are averaged over steps, with weights that fall by `memory` a step, before one is divided by the other.
/// The small gradients are those of a step's micro-batches, or of data-parallel ranks before their sum; the large one
/// is the step's. Where losses are sums over the step's count, as `AnyModel::loss` gives them, a part's gradient times
/// count / examples is its mean.
/// Errors: `ArgumentError` for sizes that are not positive, a large batch that is not larger than its parts, no parts,
/// a memory outside [0, 1).
/// Source: McCandlish et al. 2018, arXiv:1812.06162, appendix A.1.
/// Example: `GradientNoise noise; noise.add(micro_batches, {.examples = 64, .squared = norm * norm}); noise.scale();`
class GradientNoise {
 public:
  explicit GradientNoise(double memory = 0.95);

  /// A step: the norms of its parts, and of the whole. Numerics: parts of unequal sizes count as their harmonic mean,
  /// for which the estimates stay unbiased.
  void add(std::span<GradientNorm const> parts, GradientNorm whole);

  /// The averages so far: |G|², tr Σ and their ratio in examples. NaN before the first step; the ratio is infinite
  /// where |G|² is not above 0, which happens while too few steps are averaged.
  double signal() const { return signal_ / weight_; }
  double noise() const { return noise_ / weight_; }
  double scale() const;

  /// The two sums and their weight, from which another object goes on.
  std::array<double, 3> state() const { return {signal_, noise_, weight_}; }
  void restore(std::array<double, 3> const& state) { signal_ = state[0], noise_ = state[1], weight_ = state[2]; }

 private:
  double memory_;
  double signal_ = 0;
  double noise_ = 0;
  double weight_ = 0;  // of all steps so far, to which the two sums are relative
};

#if LIERNE_BODIES
LIERNE_INLINE GradientNoise::GradientNoise(double memory) : memory_(memory) {
  check(memory >= 0 && memory < 1, "GradientNoise: expected a memory in [0, 1), found ", memory);
}

LIERNE_INLINE void GradientNoise::add(std::span<GradientNorm const> parts, GradientNorm whole) {
  check(!parts.empty(), "GradientNoise: expected at least one part of the batch, found none");
  double squared = 0, inverse = 0;
  for (auto const& part : parts) {
    check(part.examples > 0 && part.examples < whole.examples,
          "GradientNoise: expected parts of more than 0 and fewer than ", whole.examples, " examples, found ",
          part.examples);
    squared += part.squared / static_cast<double>(parts.size());
    inverse += 1 / part.examples / static_cast<double>(parts.size());
  }
  double const noise = (squared - whole.squared) / (inverse - 1 / whole.examples);
  noise_ = memory_ * noise_ + (1 - memory_) * noise;
  signal_ = memory_ * signal_ + (1 - memory_) * (whole.squared - noise / whole.examples);
  weight_ = memory_ * weight_ + (1 - memory_);
}

LIERNE_INLINE double GradientNoise::scale() const {
  if (weight_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return signal_ > 0 ? noise_ / signal_ : std::numeric_limits<double>::infinity();
}
#endif

}  // namespace lierne
