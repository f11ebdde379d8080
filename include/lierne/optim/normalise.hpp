// SPDX-License-Identifier: Apache-2.0
// Normalisation: the direction is divided by the root of the second moment of the gradient.
#pragma once

#include <cmath>

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// How ε keeps the divisor from zero: `added` to the root, or a `floor` below which the root does not fall.
enum class Epsilon { added, floor };

/// Division by the root of the *current* second moment, with bias correction: Adam's.
/// Math: v <- βv + (1 - β)g²; u <- u / (√v / √(1 - β^t) + ε), or u / max(√v / √(1 - β^t), ε); t counts this call.
template <Epsilon form = Epsilon::added, class Number = double>
struct Normalise {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg_sq">;
  static constexpr bool changes_direction = true;
  static constexpr bool divides_by_moment = true;

  Number beta = 0.999;
  Number epsilon = 1e-8;

  constexpr auto coefficients(auto const& call) const {
    using std::pow, std::sqrt;
    return std::array<Number, 4>{beta, 1 - beta, 1 / sqrt(1 - pow(beta, static_cast<double>(call.calls + 1))),
                                 epsilon * call.multipliers.epsilon};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& moment) {
    moment = numbers[0] * moment + numbers[1] * (at.gradient * at.gradient);
    V const root = numbers[2] * sqrt(moment);
    if constexpr (form == Epsilon::added) {
      at.direction = at.direction / (root + numbers[3]);
    } else {
      at.direction = at.direction / maximum(root, numbers[3]);
    }
  }
  std::string name() const {
    return "second moment " + number(beta) + (form == Epsilon::added ? " + " : " floor ") + number(epsilon);
  }
};

/// As `Normalise`, by the largest second moment so far: AMSGrad.
/// Math: v as in `Normalise`; v̂ <- max(v̂, v), uncorrected; u <- u / (√v̂ / √(1 - β^t) + ε).
/// Source: Reddi, Kale and Kumar, arXiv 1904.09237; order of the operations as in torch.optim.
template <class Number = double>
struct NormaliseByMaximum {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg_sq", "max_exp_avg_sq">;
  static constexpr bool changes_direction = true;
  static constexpr bool divides_by_moment = true;

  Number beta = 0.999;
  Number epsilon = 1e-8;

  constexpr auto coefficients(auto const& call) const {
    return Normalise<Epsilon::added, Number>{beta, epsilon}.coefficients(call);
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& moment, V& largest) {
    moment = numbers[0] * moment + numbers[1] * (at.gradient * at.gradient);
    largest = maximum(largest, moment);
    at.direction = at.direction / (numbers[2] * sqrt(largest) + numbers[3]);
  }
  std::string name() const { return "largest second moment " + number(beta) + " + " + number(epsilon); }
};

/// Division by the root of the *previous* call's second moment, without correction: ADOPT's. The first call of a
/// parameter has no previous moment: it stores g² and holds the pipe, so that neither weight nor decay moves.
/// Math: first call v <- g². Later u <- u / max(√v, ε), or u / (√v + ε), and then v <- βv + (1 - β)g².
/// Source: Taniguchi et al., arXiv 2411.02853.
template <Epsilon form = Epsilon::floor, class Number = double>
struct NormaliseByPrevious {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg_sq">;
  static constexpr bool changes_direction = true;
  static constexpr bool divides_by_moment = true;

  Number beta = 0.9999;
  Number epsilon = 1e-6;

  constexpr bool holds(auto const& call) const { return call.calls == 0; }
  constexpr auto coefficients(auto const& call) const {
    return std::array<Number, 3>{beta, 1 - beta, epsilon * call.multipliers.epsilon};
  }
  template <class V>
  static constexpr void hold(auto const&, Element<V>& at, V& moment) {
    moment = at.gradient * at.gradient;
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& moment) {
    if constexpr (form == Epsilon::floor) {
      at.direction = at.direction / maximum(sqrt(moment), numbers[2]);
    } else {
      at.direction = at.direction / (sqrt(moment) + numbers[2]);
    }
    moment = numbers[0] * moment + numbers[1] * (at.gradient * at.gradient);
  }
  std::string name() const {
    return "previous second moment " + number(beta) + (form == Epsilon::added ? " + " : " floor ") + number(epsilon);
  }
};

/// Example: `normalise({.beta = 0.95})`; with a floor `normalise<Epsilon::floor>({.beta = 0.95})`.
template <Epsilon form = Epsilon::added>
constexpr Normalise<form> normalise(Normalise<form> settings = {}) {
  return settings;
}

/// Example: `normalise_by_maximum({.beta = 0.999})`.
constexpr NormaliseByMaximum<> normalise_by_maximum(NormaliseByMaximum<> settings = {}) { return settings; }

/// Example: `normalise_by_previous({.beta = 0.9999})`.
template <Epsilon form = Epsilon::floor>
constexpr NormaliseByPrevious<form> normalise_by_previous(NormaliseByPrevious<form> settings = {}) {
  return settings;
}

}  // namespace lierne
