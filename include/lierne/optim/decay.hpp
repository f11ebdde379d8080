// SPDX-License-Identifier: Apache-2.0
// Weight decay in its four forms.
#pragma once

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// The forms of weight decay. λ is the decay, η the rate of the call, η₀ the rate before the schedule.
enum class DecayForm {
  times_rate,      ///< w <- w(1 - ηλ): PyTorch's AdamW, Lion, Muon
  times_schedule,  ///< w <- w(1 - (η/η₀)λ): Composer's decoupled AdamW; the same λ is about 1/η₀ times stronger
  independent,     ///< w <- w(1 - λ)
  coupled          ///< g <- g + λw, before the recipe: L2 regularisation
};

template <DecayForm form>
struct DecayTag {};
inline constexpr DecayTag<DecayForm::times_rate> times_rate{};
inline constexpr DecayTag<DecayForm::times_schedule> times_schedule{};
inline constexpr DecayTag<DecayForm::independent> independent{};
inline constexpr DecayTag<DecayForm::coupled> coupled{};

/// Decay of every weight towards zero, by the form's factor, immediately before the rule subtracts rate · direction.
/// Where a gate holds, nothing decays. Errors (compile time): `coupled` must stand before the recipe, the others after it.
template <DecayForm form, class Number = double>
struct Decay {
  using pipe_role = StageRole;
  static constexpr DecayForm decay_form = form;
  static constexpr bool moves_weight = form != DecayForm::coupled;

  Number strength = 0;

  constexpr auto coefficients(auto const& call) const {
    auto const strength_here = strength * call.multipliers.decay;
    if constexpr (form == DecayForm::times_rate) {
      return std::array{1 - call.rate * strength_here};
    } else if constexpr (form == DecayForm::times_schedule) {
      return std::array{1 - call.factor * strength_here};
    } else if constexpr (form == DecayForm::independent) {
      return std::array{1 - strength_here};
    } else {
      return std::array{strength_here};
    }
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    if constexpr (form == DecayForm::coupled) {
      at.gradient = at.gradient + numbers[0] * at.weight;
    } else {
      at.weight = numbers[0] * at.weight;
    }
  }
  template <Place place, bool>
  static consteval void check_place() {
    if constexpr (form == DecayForm::coupled) {
      static_assert(place == Place::before_recipe,
                    "decay: the form coupled must stand before the recipe (write decay(0.1, coupled) | adamw(...))");
    } else {
      static_assert(place == Place::after_recipe,
                    "decay: a form other than coupled must stand after the recipe "
                    "(write adamw(...) | decay(0.1, times_rate))");
    }
  }
  std::string name() const {
    constexpr char const* forms[] = {"times_rate", "times_schedule", "independent", "coupled"};
    return "decay " + number(strength) + " " + forms[static_cast<int>(form)];
  }
};

/// Example: `adamw() | decay(0.1, times_rate)`, `decay(0.01, coupled) | adopt()`.
template <DecayForm form>
constexpr Decay<form> decay(double strength, DecayTag<form>) {
  return {.strength = strength};
}

/// The same behind the step. Math: w <- (w - η·u)·f with f of the form. Source: as SOAP's authors write it.
template <DecayForm form, class Number = double>
struct DecayAfter {
  static_assert(form != DecayForm::coupled,
                "decay_after: coupled decay stands before the recipe (write decay(0.1, coupled) | adamw(...))");
  using pipe_role = StageRole;
  static constexpr DecayForm decay_form = form;
  static constexpr bool moves_weight = true;
  static constexpr bool changes_direction = true;

  Number strength = 0;

  constexpr auto coefficients(auto const& call) const { return Decay<form, Number>{strength}.coefficients(call); }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.weight = numbers[0] * at.weight;
    at.direction = numbers[0] * at.direction;
  }
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::after_recipe,
                  "decay_after: it must stand after the recipe (write soap(...) | decay_after(0.01, times_rate))");
  }
  std::string name() const { return Decay<form, Number>{strength}.name() + " after the step"; }
};

/// Example: `soap() | decay_after(0.01, times_rate)`.
template <DecayForm form>
constexpr DecayAfter<form> decay_after(double strength, DecayTag<form>) {
  return {.strength = strength};
}

/// The largest decay of the form `times_schedule` in a rule; 0 without one.
template <Stage Node>
constexpr double decay_times_schedule(Node const& rule) {
  double largest = 0;
  for_each_piece(rule, [&](auto const& piece) {
    if constexpr (requires { piece.decay_form; piece.strength; }) {
      if (piece.decay_form == DecayForm::times_schedule && piece.strength > largest) largest = piece.strength;
    }
  });
  return largest;
}

}  // namespace lierne
