// SPDX-License-Identifier: Apache-2.0
// The recompute slot: what a block keeps for its backward pass.
#pragma once

#include <string>

#include "lierne/core/roles.hpp"

namespace lierne {

/// A block keeps everything that its backward pass reads.
struct NoRecompute {
  static constexpr Role role = Role::recompute;
  std::string name() const { return "no recompute"; }
  friend constexpr bool operator==(NoRecompute const&, NoRecompute const&) = default;
};

}  // namespace lierne
