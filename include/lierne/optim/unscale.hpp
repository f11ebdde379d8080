// SPDX-License-Identifier: Apache-2.0
// Gradients of a scaled loss: divided in the pass, and a step with one that is not finite left out.
#pragma once

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// Divides gradients by `StepContext::loss_scale` in the rule's own pass. The gradient norm is that of the divided
/// ones. A step in which a gradient of any rank is not finite is left out whole on all ranks: weights, state and counts
/// stay, gradients are released, the report says `skipped`.
/// Numerics: whether all are finite is seen from the norm, whose squares are summed in double (a sum that overflows,
/// which float32 cannot bring about, counts as not finite).
/// Errors (compile time): it must stand at the beginning of a rule.
/// Example: `unscale() | clip_norm(1.0) | adamw()`, with a `LossScale`.
struct Unscale {
  using pipe_role = StageRole;
  static constexpr bool phase_boundary = true;
  static constexpr bool leads = true;
  static constexpr bool unscales_gradients = true;

  constexpr auto coefficients(auto const& call) const { return std::array<double, 1>{1.0 / call.loss_scale}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.gradient = numbers[0] * at.gradient;
  }
  template <Place place, bool first>
  static consteval void check_place() {
    static_assert(place == Place::before_recipe && first,
                  "unscale: it must stand at the beginning of a rule (write unscale() | clip_norm(1.0) | adamw(...))");
  }
  template <bool in_backward>
  static consteval void check_in_backward() {
    static_assert(!in_backward, "bind_in_backward: unscale must know whether all gradients are finite before the first "
                                "parameter moves (train in bfloat16, or use bind)");
  }
  std::string name() const { return "unscale"; }
};

/// Example: `unscale() | adamw()`.
constexpr Unscale unscale() { return {}; }

}  // namespace lierne
