// SPDX-License-Identifier: Apache-2.0
// MARS: a gradient corrected by its change since the last call, limited in norm, before an Adam.
#pragma once

#include "lierne/optim/adamw.hpp"

namespace lierne {

/// Math: c = g + γ·β/(1 - β)·(g - g_previous); g <- c / max(1, ‖c‖₂), the norm over a parameter. g_previous starts at 0.
/// Source: Yuan et al., arXiv 2411.10438. A sum over a whole parameter; see `Cautious`.
template <class Number = double>
struct VarianceReduction {
  using pipe_role = StageRole;
  using fields = Fields<"last_grad">;
  static constexpr bool whole_tensor = true;

  Number gamma = 0.025;
  Number beta = 0.95;

  constexpr auto coefficients(auto const&) const { return std::array<Number, 1>{gamma * (beta / (1 - beta))}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& previous) {
    V const corrected = at.gradient + numbers[0] * (at.gradient - previous);
    previous = at.gradient;
    at.gradient = corrected / maximum(sqrt(sum(corrected * corrected)), 1.0);
  }
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::before_recipe,
                  "variance_reduction: it must stand before the recipe (write variance_reduction() | adamw(...))");
  }
  std::string name() const { return "variance reduction " + number(gamma) + " beta " + number(beta); }
};

/// Example: `variance_reduction() | adamw({.rate = 3e-3, .beta1 = 0.95, .beta2 = 0.99}) | decay(0.01, times_rate)`.
constexpr VarianceReduction<> variance_reduction(VarianceReduction<> settings = {}) { return settings; }

template <class Number>
constexpr auto mars_adamw(AdamSettings<Number> settings, Number gamma) {
  return VarianceReduction<Number>{.gamma = gamma, .beta = settings.beta1} | adamw(settings);
}
/// MARS with AdamW's order and the paper's factors. Example: `mars_adamw({.rate = 3e-3}) | decay(0.01, times_rate)`.
constexpr auto mars_adamw(AdamSettings<> settings = {.rate = 3e-3, .beta1 = 0.95, .beta2 = 0.99}, double gamma = 0.025) {
  return mars_adamw<double>(settings, gamma);
}

}  // namespace lierne
