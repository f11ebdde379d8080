// SPDX-License-Identifier: Apache-2.0
// Momentum: the direction becomes a moving average of directions.
#pragma once

#include <cmath>

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// Math: m <- m + (1 - β)(u - m); u <- m / (1 - β^t) when corrected, m when kept; t counts this call.
/// Before a normalisation this is Adam's order, after it ADOPT's.
template <Bias bias = Bias::corrected, class Number = double>
struct Momentum {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg">;
  static constexpr bool changes_direction = true;

  Number beta = 0.9;

  constexpr auto coefficients(auto const& call) const {
    using std::pow;
    if constexpr (bias == Bias::corrected) {
      return std::array<Number, 2>{1 - beta, 1 / (1 - pow(beta, static_cast<double>(call.calls + 1)))};
    } else {
      return std::array<Number, 1>{1 - beta};
    }
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average) {
    average = average + numbers[0] * (at.direction - average);
    if constexpr (bias == Bias::corrected) {
      at.direction = numbers[1] * average;
    } else {
      at.direction = average;
    }
  }
  std::string name() const { return "momentum " + number(beta) + (bias == Bias::corrected ? " corrected" : ""); }
};

/// Quasi-hyperbolic momentum: a mix of the direction and its average.
/// Math: m as in `Momentum`; u <- u + ν(m̂ - u), m̂ = m / (1 - β^t) when corrected. ν = 1 is `Momentum`, ν = 0 none.
/// Source: Ma and Yarats, arXiv 1810.06801.
template <Bias bias = Bias::corrected, class Number = double>
struct QuasiHyperbolic {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg">;
  static constexpr bool changes_direction = true;

  Number beta = 0.9;
  Number nu = 0.7;

  constexpr auto coefficients(auto const& call) const {
    using std::pow;
    if constexpr (bias == Bias::corrected) {
      return std::array<Number, 3>{1 - beta, nu, 1 / (1 - pow(beta, static_cast<double>(call.calls + 1)))};
    } else {
      return std::array<Number, 2>{1 - beta, nu};
    }
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average) {
    average = average + numbers[0] * (at.direction - average);
    V mean = average;
    if constexpr (bias == Bias::corrected) mean = numbers[2] * average;
    at.direction = at.direction + numbers[1] * (mean - at.direction);
  }
  std::string name() const {
    return "quasi-hyperbolic " + number(beta) + " nu " + number(nu) + (bias == Bias::corrected ? " corrected" : "");
  }
};

/// Example: `momentum({.beta = 0.95})`; without correction `momentum<Bias::kept>({.beta = 0.95})`.
template <Bias bias = Bias::corrected>
constexpr Momentum<bias> momentum(Momentum<bias> settings = {}) {
  return settings;
}

/// Example: `quasi_hyperbolic({.beta = 0.999, .nu = 0.7})`.
template <Bias bias = Bias::corrected>
constexpr QuasiHyperbolic<bias> quasi_hyperbolic(QuasiHyperbolic<bias> settings = {}) {
  return settings;
}

}  // namespace lierne
