// SPDX-License-Identifier: Apache-2.0
// Ascent: the gradient changes its sign before anything else sees it.
#pragma once

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// Math: g <- -g. Errors (compile time): it must stand before the recipe.
struct Maximize {
  using pipe_role = StageRole;

  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    at.gradient = -at.gradient;
  }
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::before_recipe,
                  "maximize: it must stand before the recipe (write maximize() | adamw(...))");
  }
  std::string name() const { return "maximize"; }
};

/// Example: `maximize() | adamw()`.
constexpr Maximize maximize() { return {}; }

}  // namespace lierne
