// SPDX-License-Identifier: Apache-2.0
// The recipe NAdam: Adam with Nesterov momentum by a schedule of its own.
#pragma once

#include <type_traits>

#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

/// Nesterov momentum whose factor warms up.
/// Math: μ_t = β(1 - ½·0.96^(tψ)), Π_t = μ_1 ⋯ μ_t; m <- m + (1 - β)(u - m);
/// u <- u·(1 - μ_t)/(1 - Π_t) + m·μ_(t+1)/(1 - Π_t·μ_(t+1)); t counts this call.
/// Source: Dozat 2016; torch.optim.NAdam, which keeps Π as state, while here it follows from t.
template <class Number = double>
struct NesterovMomentum {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg">;
  static constexpr bool changes_direction = true;

  Number beta = 0.9;
  Number warmth = 4e-3;  ///< ψ, torch's momentum_decay

  constexpr Number factor(std::int64_t t) const {
    using std::pow;
    return beta * (1 - 0.5 * pow(Number(0.96), static_cast<double>(t) * warmth));
  }
  constexpr auto coefficients(auto const& call) const {
    auto const t = call.calls + 1;
    Number product = 1.0;
    for (std::int64_t k = 1; k <= t; ++k) {
      product = product * factor(k);
      if constexpr (std::is_floating_point_v<Number>) {
        if (product < 1e-30) break;  // 1 - product is 1 from here on
      }
    }
    Number const next = factor(t + 1);
    return std::array<Number, 3>{1 - beta, (1 - factor(t)) / (1 - product), next / (1 - product * next)};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average) {
    average = average + numbers[0] * (at.direction - average);
    at.direction = numbers[1] * at.direction + numbers[2] * average;
  }
  std::string name() const { return "nesterov momentum " + number(beta) + " warmth " + number(warmth); }
};

/// The settings of `nadam`.
template <class Number = double>
struct NadamSettings {
  Number rate = 2e-3;
  Number beta1 = 0.9;
  Number beta2 = 0.999;
  Number epsilon = 1e-8;
  Number warmth = 4e-3;
};

template <class Number>
constexpr auto nadam(NadamSettings<Number> settings) {
  return recipe("nadam", settings.rate,
                NesterovMomentum<Number>{settings.beta1, settings.warmth} |
                    Normalise<Epsilon::added, Number>{settings.beta2, settings.epsilon});
}
/// Math: the direction of `NesterovMomentum` / (√v / √(1 - β₂^t) + ε). Source: torch.optim.NAdam.
/// Example: `nadam({.rate = 1e-3}) | decay(0.01, times_rate)`.
constexpr auto nadam(NadamSettings<> settings = {}) { return nadam<double>(settings); }

}  // namespace lierne
