// SPDX-License-Identifier: Apache-2.0
// The records of attention masks.
#pragma once

#include <string>

#include "lierne/core/roles.hpp"

namespace lierne {

/// A token sees itself and all tokens before it in its window.
struct Causal {
  static constexpr Role role = Role::mask;
  std::string name() const { return "causal"; }
  friend constexpr bool operator==(Causal const&, Causal const&) = default;
};

}  // namespace lierne
