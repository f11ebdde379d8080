// SPDX-License-Identifier: Apache-2.0
// RMSprop: division by the root of an uncorrected mean of squares.
#pragma once

#include "lierne/optim/sgd.hpp"

namespace lierne {

/// Whether the square of the mean gradient is taken from the mean square, which makes a variance of it.
enum class Centring { none, mean };

/// Division by the root of the mean square of the gradient, which starts at zero and is not corrected.
/// Math: v <- αv + (1 - α)g²; with `Centring::mean` a <- a + (1 - α)(g - a) and v - a² in place of v;
/// u <- u / (√v + ε). Source: torch.optim.RMSprop.
template <Centring centring = Centring::none, class Number = double>
struct RootMeanSquare {
  using pipe_role = StageRole;
  using fields = std::conditional_t<centring == Centring::none, Fields<"square_avg">, Fields<"square_avg", "grad_avg">>;
  static constexpr bool changes_direction = true;
  static constexpr bool divides_by_moment = true;

  Number alpha = 0.99;
  Number epsilon = 1e-8;

  constexpr auto coefficients(auto const& call) const {
    return std::array<Number, 3>{alpha, 1 - alpha, epsilon * call.multipliers.epsilon};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& square, auto&... mean) {
    square = numbers[0] * square + numbers[1] * (at.gradient * at.gradient);
    V spread = square;
    if constexpr (centring == Centring::mean) {
      ((mean = mean + numbers[1] * (at.gradient - mean), spread = spread - mean * mean), ...);
    }
    at.direction = at.direction / (sqrt(spread) + numbers[2]);
  }
  std::string name() const {
    return std::string(centring == Centring::mean ? "centred " : "") + "mean square " + number(alpha) + " + " + number(epsilon);
  }
};

/// The settings of `rmsprop`.
template <class Number = double>
struct RmspropSettings {
  Number rate = 1e-2;
  Number alpha = 0.99;
  Number epsilon = 1e-8;
};

template <Centring centring = Centring::none, class Number>
constexpr auto rmsprop(RmspropSettings<Number> settings) {
  return recipe("rmsprop", settings.rate, RootMeanSquare<centring, Number>{settings.alpha, settings.epsilon});
}
/// Math: u = g / (√v + ε). Source: torch.optim.RMSprop; its momentum is a `heavy_ball` behind the division:
/// `recipe("rmsprop", 1e-2, RootMeanSquare<>{} | heavy_ball({.momentum = 0.9}))`.
/// Example: `rmsprop({.rate = 1e-3})`, `rmsprop<Centring::mean>({.rate = 1e-3})`.
template <Centring centring = Centring::none>
constexpr auto rmsprop(RmspropSettings<> settings = {}) {
  return rmsprop<centring, double>(settings);
}

}  // namespace lierne
