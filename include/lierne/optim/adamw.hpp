// SPDX-License-Identifier: Apache-2.0
// The recipes of Adam's order: momentum, then normalisation by the current second moment.
#pragma once

#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

/// The settings of Adam's recipes; the defaults are PyTorch's.
template <class Number = double>
struct AdamSettings {
  Number rate = 1e-3;
  Number beta1 = 0.9;
  Number beta2 = 0.999;
  Number epsilon = 1e-8;
};

template <class Number>
constexpr auto adamw(AdamSettings<Number> settings) {
  return recipe("adamw", settings.rate,
                Momentum<Bias::corrected, Number>{settings.beta1} |
                    Normalise<Epsilon::added, Number>{settings.beta2, settings.epsilon});
}
/// AdamW without its decay, which is a stage of its own.
/// Math: m <- β₁m + (1 - β₁)g; v <- β₂v + (1 - β₂)g²; u = m / (1 - β₁^t) / (√v / √(1 - β₂^t) + ε).
/// Source: Loshchilov and Hutter, arXiv 1711.05101. `| decay(λ, times_rate)` is torch.optim.AdamW,
/// `| decay(λ, times_schedule)` Composer's DecoupledAdamW, `decay(λ, coupled) |` torch.optim.Adam.
/// Example: `adamw({.rate = 3e-4, .beta2 = 0.95}) | decay(0.1, times_rate)`.
constexpr auto adamw(AdamSettings<> settings = {}) { return adamw<double>(settings); }

template <class Number>
constexpr auto amsgrad(AdamSettings<Number> settings) {
  return recipe("amsgrad", settings.rate,
                Momentum<Bias::corrected, Number>{settings.beta1} |
                    NormaliseByMaximum<Number>{settings.beta2, settings.epsilon});
}
/// AdamW with the largest second moment so far. Source: torch.optim.AdamW(amsgrad=True).
constexpr auto amsgrad(AdamSettings<> settings = {}) { return amsgrad<double>(settings); }

}  // namespace lierne
