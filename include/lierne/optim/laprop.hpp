// SPDX-License-Identifier: Apache-2.0
// The recipe LaProp: normalisation by the current second moment, then momentum.
#pragma once

#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

/// The settings of `laprop`.
template <class Number = double>
struct LapropSettings {
  Number rate = 4e-4;
  Number beta1 = 0.9;
  Number beta2 = 0.999;
  Number epsilon = 1e-15;
};

template <class Number>
constexpr auto laprop(LapropSettings<Number> settings) {
  return recipe("laprop", settings.rate,
                Normalise<Epsilon::added, Number>{settings.beta2, settings.epsilon} |
                    Momentum<Bias::corrected, Number>{settings.beta1});
}
/// Adam with its two halves exchanged. Math: n = g / (√v / √(1 - β₂^t) + ε); m <- m + (1 - β₁)(n - m);
/// u = m / (1 - β₁^t). Source: Ziyin, Wang and Ueda, arXiv 2002.04839.
/// Example: `laprop({.rate = 4e-4}) | decay(0.01, times_rate)`.
constexpr auto laprop(LapropSettings<> settings = {}) { return laprop<double>(settings); }

}  // namespace lierne
