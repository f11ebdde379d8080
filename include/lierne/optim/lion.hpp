// SPDX-License-Identifier: Apache-2.0
// The recipe Lion: the sign of a momentum that is read with one factor and kept with another.
#pragma once

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// Momentum that gives one average and keeps another.
/// Math: u' = βm + (1 - β)u with β = `read`; m <- βm + (1 - β)u with β = `kept`; u <- u'.
template <class Number = double>
struct SplitMomentum {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg">;
  static constexpr bool changes_direction = true;

  Number read = 0.9;
  Number kept = 0.99;

  constexpr auto coefficients(auto const&) const { return std::array<Number, 4>{read, 1 - read, kept, 1 - kept}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average) {
    V const direction = at.direction;
    at.direction = numbers[0] * average + numbers[1] * direction;
    average = numbers[2] * average + numbers[3] * direction;
  }
  std::string name() const { return "momentum read " + number(read) + " kept " + number(kept); }
};

/// Math: u <- sign(u), with sign(0) = 0. NaN gives 0.
struct Sign {
  using pipe_role = StageRole;
  static constexpr bool changes_direction = true;

  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    at.direction = sign(at.direction);
  }
  std::string name() const { return "sign"; }
};

/// Example: `recipe("signsgd", 1e-4, momentum() | signs())`.
constexpr Sign signs() { return {}; }

/// The settings of `lion`.
template <class Number = double>
struct LionSettings {
  Number rate = 1e-4;
  Number beta1 = 0.9;
  Number beta2 = 0.99;
};

template <class Number>
constexpr auto lion(LionSettings<Number> settings) {
  return recipe("lion", settings.rate, SplitMomentum<Number>{settings.beta1, settings.beta2} | Sign{});
}
/// Math: u = sign(β₁m + (1 - β₁)g); m <- β₂m + (1 - β₂)g. Source: Chen et al., arXiv 2302.06675.
/// Example: `lion({.rate = 1e-4}) | decay(0.1, times_rate)`.
constexpr auto lion(LionSettings<> settings = {}) { return lion<double>(settings); }

}  // namespace lierne
