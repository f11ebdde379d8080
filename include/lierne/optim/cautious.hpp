// SPDX-License-Identifier: Apache-2.0
// Caution: only what agrees with the gradient moves a weight, and only what agrees with the step decays it.
#pragma once

#include "lierne/optim/decay.hpp"

namespace lierne {

/// How the elements that remain are enlarged for those that fall away. φ is 1 where an element remains; the mean and the
/// sum run over a parameter.
enum class CautiousScale {
  mean,     ///< φ / max(mean φ, 10⁻³): the official code
  count,    ///< φ · size / (Σφ + 1): the paper, pytorch-optimizer
};

/// Elements whose direction disagrees with the gradient are set to zero, the others enlarged.
/// Math: φ = [u·g > 0]; u <- u · φ · scale. Source: Liang et al., arXiv 2411.16085.
/// A sum over a whole parameter: no single pass over memory, and a parameter that is cut over ranks is refused.
template <CautiousScale scale = CautiousScale::mean>
struct Cautious {
  using pipe_role = StageRole;
  static constexpr bool changes_direction = true;
  static constexpr bool whole_tensor = true;

  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    V const agrees = select(at.direction * at.gradient > V(0), like(at.gradient, 1), like(at.gradient, 0));
    if constexpr (scale == CautiousScale::mean) {
      at.direction = at.direction * agrees / maximum(sum(agrees) / size(at.gradient), 1e-3);
    } else {
      at.direction = at.direction * agrees * size(at.gradient) / (sum(agrees) + V(1));
    }
  }
  std::string name() const { return scale == CautiousScale::mean ? "cautious" : "cautious by count"; }
};

/// The last stage of a recipe: `recipe("cautious adam", 1e-3, momentum() | normalise() | cautious())`.
template <CautiousScale scale = CautiousScale::mean>
constexpr Cautious<scale> cautious() {
  return {};
}

/// Decay of the weights that the step shrinks anyway. Math: w <- w(1 - f·[u·w > 0]) with f of the form: ηλ, (η/η₀)λ or λ.
/// Source: Chen et al., "Cautious weight decay", arXiv 2510.12402.
template <DecayForm form, class Number = double>
struct CautiousDecay {
  static_assert(form != DecayForm::coupled,
                "cautious_decay: coupled decay has no cautious form (write cautious_decay(0.1, times_rate))");
  using pipe_role = StageRole;
  static constexpr bool moves_weight = true;

  Number strength = 0;

  constexpr auto coefficients(auto const& call) const { return Decay<form, Number>{strength}.coefficients(call); }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.weight = select(at.direction * at.weight > V(0), numbers[0] * at.weight, at.weight);
  }
  template <Place place, bool first>
  static consteval void check_place() {
    static_assert(place == Place::after_recipe,
                  "cautious_decay: it must stand after the recipe (write adamw(...) | cautious_decay(0.1, times_rate))");
  }
  std::string name() const { return "cautious " + Decay<form, Number>{strength}.name(); }
};

/// Example: `adamw() | cautious_decay(0.1, times_rate)`.
template <DecayForm form>
constexpr CautiousDecay<form> cautious_decay(double strength, DecayTag<form>) {
  return {.strength = strength};
}

}  // namespace lierne
