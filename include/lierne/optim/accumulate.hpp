// SPDX-License-Identifier: Apache-2.0
// Accumulation: a rule that steps once for several calls, by the mean of their gradients. Sees the standard library
// only.
#pragma once

#include "lierne/core/error.hpp"
#include "lierne/optim/recipe.hpp"

namespace lierne {

/// The gradients of `calls` calls are added up; the last of them runs the rest of the rule once on their mean, which is
/// also what the gradient norm is of. The other calls keep the gradients and report `accumulated`. States count real
/// steps, and the schedule sees them: `StepContext::step` and `total` count calls, and are divided. A call without a
/// gradient of a parameter adds nothing to its sum; a parameter without any in all calls is left alone.
/// Numerics: sums in float32, or float64 for such weights, call after call; the mean is the sum times 1/n, in the pass.
/// Memory: the sum takes the place of the gradient between calls. It is saved with the state, as `accumulated`.
/// Errors (compile time): it must stand before all but `unscale`. Run time: `ArgumentError` for less than one call.
struct Accumulate {
  using pipe_role = StageRole;
  static constexpr bool phase_boundary = true;
  static constexpr bool leads = true;
  static constexpr bool accumulates_gradients = true;

  int calls = 1;

  constexpr auto coefficients(auto const&) const { return std::array<double, 1>{1.0 / calls}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.gradient = numbers[0] * at.gradient;
  }
  template <Place place, bool first>
  static consteval void check_place() {
    static_assert(place == Place::before_recipe && first,
                  "accumulate: it must stand at the beginning of a rule "
                  "(write accumulate(4) | clip_norm(1.0) | adamw(...))");
  }
  template <bool in_backward>
  static consteval void check_in_backward() {
    static_assert(!in_backward, "bind_in_backward: accumulate keeps all gradients until its last call (leave it out: "
                                "backward passes before begin() add up)");
  }
  std::string name() const { return "accumulate " + std::to_string(calls); }
};

/// Example: `accumulate(4) | clip_norm(1.0) | adamw()`.
constexpr Accumulate accumulate(int calls) {
  if (calls < 1) check(false, "accumulate: expected at least one call, found ", calls);
  return {.calls = calls};
}

}  // namespace lierne
