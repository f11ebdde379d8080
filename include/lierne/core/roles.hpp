// SPDX-License-Identifier: Apache-2.0
// Roles: which slot of a record a piece fills.
#pragma once

#include <concepts>

namespace lierne {

/// The slots of a model record. A piece names the one it fills: `static constexpr Role role = Role::mixer;`.
enum class Role { mixer, position, mask, channel, norm, scaling, precision, loss, recompute };

/// The slot's name as the record spells it.
constexpr char const* name(Role role) {
  constexpr char const* names[] = {"mixer", "position", "mask", "channel", "norm",
                                   "scaling", "precision", "loss", "recompute"};
  return names[static_cast<int>(role)];
}

/// Satisfied if and only if `T` names its role. Satisfied by `Rope`, `Attention`, `Every<4, NoPosition, Rope>`.
template <class T>
concept Piece = requires {
  { T::role } -> std::convertible_to<Role>;
};

/// Satisfied if and only if `T` is a piece of the given role.
template <class T, Role role>
concept Fills = Piece<T> && T::role == role;

}  // namespace lierne
