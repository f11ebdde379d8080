// SPDX-License-Identifier: Apache-2.0
// The recompute slot: what a block keeps for its backward pass, and what it computes again.
#pragma once

#include <string>

#include "lierne/core/roles.hpp"

namespace lierne {

// Each policy says three things, and so does one of your own: whether the whole block is run again, and, where it is not,
// whether the results of norms and of activations are made again. All of them give the same gradients, bit for bit.

/// A block keeps everything that its backward pass reads.
struct NoRecompute {
  static constexpr Role role = Role::recompute;
  static constexpr bool block = false;
  static constexpr bool norms = false;
  static constexpr bool activations = false;
  std::string name() const { return "no recompute"; }
  friend constexpr bool operator==(NoRecompute const&, NoRecompute const&) = default;
};

/// A block keeps its input alone, and its backward pass begins with another forward pass of it: the least memory, for
/// about a third more work. Source: Chen et al. 2016, arXiv:1604.06174.
/// Example: `.recompute = every<2>(RecomputeBlock{}, NoRecompute{})` does so on every second block.
struct RecomputeBlock {
  static constexpr Role role = Role::recompute;
  static constexpr bool block = true;
  static constexpr bool norms = false;
  static constexpr bool activations = false;
  std::string name() const { return "recompute block"; }
  friend constexpr bool operator==(RecomputeBlock const&, RecomputeBlock const&) = default;
};

/// A block keeps the results of its products and of attention, and makes again what costs little: the results of norms
/// and of activations. Rotations of position are kept by nobody. Source: Korthikanti et al. 2022, arXiv:2205.05198.
struct RecomputeSelective {
  static constexpr Role role = Role::recompute;
  static constexpr bool block = false;

  bool norms = true;
  bool activations = true;

  /// Example: `recompute norms and activations`.
  std::string name() const {
    if (!norms && !activations) return "no recompute";
    return std::string("recompute ") + (norms ? "norms" : "") + (norms && activations ? " and " : "") +
           (activations ? "activations" : "");
  }
  friend constexpr bool operator==(RecomputeSelective const&, RecomputeSelective const&) = default;
};

}  // namespace lierne
