// SPDX-License-Identifier: Apache-2.0
// Clipping by the global norm of all gradients.
#pragma once

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// Scales every gradient so that the norm of all of them together does not exceed `largest`. A phase boundary: the norm
/// of every gradient, on every rank, is needed before the first element moves; the factor itself costs no pass.
/// Math: g <- g · min(1, largest / (‖g‖ + 10⁻⁶)). A norm that is NaN makes every weight NaN, as in PyTorch.
/// Numerics: squares are summed in double.
/// Errors (compile time): it must be the first stage of the rule.
struct ClipNorm {
  using pipe_role = StageRole;
  static constexpr bool phase_boundary = true;
  static constexpr bool leads = true;

  double largest = 1;

  constexpr double factor(double norm) const {
    double const factor = largest / (norm + 1e-6);
    return factor > 1 ? 1 : factor;
  }
  constexpr auto coefficients(auto const& call) const { return std::array<double, 1>{factor(call.norm)}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.gradient = numbers[0] * at.gradient;
  }
  template <Place place, bool first>
  static consteval void check_place() {
    static_assert(place == Place::before_recipe && first,
                  "clip_norm: it must be the first stage of a rule (write clip_norm(1.0) | adamw(...); accumulate and "
                  "unscale alone go before it)");
  }
  template <bool in_backward>
  static consteval void check_in_backward() {
    static_assert(!in_backward, "bind_in_backward: clip_norm needs all gradients before the first parameter moves "
                                "(use clip_elements() in a recipe, or bind)");
  }
  std::string name() const { return "clip_norm " + number(largest); }
};

/// Example: `clip_norm(1.0) | adamw()`.
constexpr ClipNorm clip_norm(double largest) { return {.largest = largest}; }

}  // namespace lierne
