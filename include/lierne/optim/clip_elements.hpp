// SPDX-License-Identifier: Apache-2.0
// A bound on every element of the direction, which may grow with a parameter's calls.
#pragma once

#include <cmath>

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// The bound t^¼ of ADOPT; t counts the calls finished before this one, so the first real update is bounded by 1.
/// Numerics: in double. Source: the official implementation's default.
struct QuarterPower {
  constexpr double operator()(std::integral auto finished_calls) const { return std::pow(static_cast<double>(finished_calls), 0.25); }
  static std::string name() { return "t^1/4"; }
};

/// Math: u <- min(max(u, -c), c), c = bound(calls finished before this one). NaN stays NaN.
/// `Bound` is a named type with `double operator()(std::int64_t) const`.
template <class Bound = QuarterPower>
struct ClipElements {
  using pipe_role = StageRole;
  static constexpr bool changes_direction = true;
  static constexpr bool counts_clipped = true;

  [[no_unique_address]] Bound bound{};

  constexpr auto coefficients(auto const& call) const { return std::array<double, 1>{bound(call.calls)}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.direction = clamp(at.direction, -numbers[0], numbers[0]);
  }
  template <class V>
  static constexpr void element(auto const& numbers, CountingElement<V>& at) {
    at.clipped = at.clipped + select((at.direction < V(-numbers[0])) | (at.direction > V(numbers[0])), V(1), V(0));
    element(numbers, static_cast<Element<V>&>(at));
  }
  std::string name() const {
    if constexpr (requires { bound.name(); }) {
      return "clip_elements " + bound.name();
    } else {
      return "clip_elements by an own bound";
    }
  }
};

/// Example: `clip_elements(QuarterPower{})`.
template <class Bound>
constexpr ClipElements<Bound> clip_elements(Bound bound) {
  return {bound};
}

}  // namespace lierne
