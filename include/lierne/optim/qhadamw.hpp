// SPDX-License-Identifier: Apache-2.0
// The recipe QHAdamW: Adam's order with quasi-hyperbolic momentum.
#pragma once

#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

/// The settings of `qhadamw`.
template <class Number = double>
struct QhAdamSettings {
  Number rate = 1e-3;
  Number beta1 = 0.9;
  Number beta2 = 0.95;
  Number nu = 0.7;
  Number epsilon = 1e-8;
};

template <class Number>
constexpr auto qhadamw(QhAdamSettings<Number> settings) {
  return recipe("qhadamw", settings.rate,
                QuasiHyperbolic<Bias::corrected, Number>{settings.beta1, settings.nu} |
                    Normalise<Epsilon::added, Number>{settings.beta2, settings.epsilon});
}
/// Math: u = (g + ν(m̂ - g)) / (√v / √(1 - β₂^t) + ε), m̂ the corrected momentum. ν = 1 is `adamw`.
/// Source: Ma and Yarats, arXiv 1810.06801, with ν₂ = 1.
/// Example: `qhadamw({.rate = 3e-4}) | decay(1e-5, times_schedule)`.
constexpr auto qhadamw(QhAdamSettings<> settings = {}) { return qhadamw<double>(settings); }

}  // namespace lierne
