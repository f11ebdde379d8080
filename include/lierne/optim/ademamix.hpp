// SPDX-License-Identifier: Apache-2.0
// The recipe AdEMAMix: Adam with a second, much slower momentum.
#pragma once

#include <algorithm>

#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

/// A fast, corrected average and a slow, uncorrected one whose share and memory grow over `warmup` calls.
/// Math: m₁ <- m₁ + (1 - β₁)(u - m₁); m₂ <- m₂ + (1 - β₃(t))(u - m₂); u <- m₁ / (1 - β₁^t) + α(t)m₂;
/// α(t) = α·min(t/T, 1); ln β₃(t) = ln β₁ · ln β₃ / ((1 - s) ln β₃ + s ln β₁), s = min(t/T, 1), at most β₃;
/// T = 0: constants. t counts this call. Source: Pagliardini, Ablin and Grangier, arXiv 2409.03137.
template <class Number = double>
struct SlowMomentum {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg", "exp_avg_slow">;
  static constexpr bool changes_direction = true;

  Number fast = 0.9;
  Number slow = 0.9999;
  Number share = 5;         ///< α
  std::int64_t warmup = 0;  ///< T, in calls

  constexpr auto coefficients(auto const& call) const {
    using std::pow, std::exp, std::log;
    auto const t = static_cast<double>(call.calls + 1);
    double const grown = warmup > 0 ? std::min(t / static_cast<double>(warmup), 1.0) : 1.0;
    Number slow_now = slow;
    if (grown < 1) {
      slow_now = exp(log(fast) * log(slow) / ((1 - grown) * log(slow) + grown * log(fast)));
      if constexpr (std::is_floating_point_v<Number>) slow_now = std::min(slow_now, slow);
    }
    return std::array<Number, 4>{1 - fast, 1 / (1 - pow(fast, t)), 1 - slow_now, grown * share};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average, V& slow_average) {
    average = average + numbers[0] * (at.direction - average);
    slow_average = slow_average + numbers[2] * (at.direction - slow_average);
    at.direction = numbers[1] * average + numbers[3] * slow_average;
  }
  std::string name() const {
    return "momentum " + number(fast) + " corrected + " + number(share) + " slow " + number(slow) +
           (warmup > 0 ? " warmup " + std::to_string(warmup) : "");
  }
};

/// The settings of `ademamix`.
template <class Number = double>
struct AdemamixSettings {
  Number rate = 1e-3;
  Number beta1 = 0.9;
  Number beta2 = 0.999;
  Number beta3 = 0.9999;
  Number share = 5;         ///< α
  std::int64_t warmup = 0;  ///< T of α and β₃, in calls; 0: none
  Number epsilon = 1e-8;
};

template <class Number>
constexpr auto ademamix(AdemamixSettings<Number> settings) {
  return recipe("ademamix", settings.rate,
                SlowMomentum<Number>{settings.beta1, settings.beta3, settings.share, settings.warmup} |
                    Normalise<Epsilon::added, Number>{settings.beta2, settings.epsilon});
}
/// Math: u = (m₁ / (1 - β₁^t) + α(t)m₂) / (√v / √(1 - β₂^t) + ε). Source: arXiv 2409.03137.
/// Example: `ademamix({.rate = 1e-3, .warmup = 10'000}) | decay(0.1, times_rate)`.
constexpr auto ademamix(AdemamixSettings<> settings = {}) { return ademamix<double>(settings); }

}  // namespace lierne
