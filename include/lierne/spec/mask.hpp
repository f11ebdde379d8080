// SPDX-License-Identifier: Apache-2.0
// The records of attention masks, and their conjunction.
#pragma once

#include <concepts>
#include <string>

#include "lierne/core/roles.hpp"

namespace lierne {

/// A token sees itself and all tokens before it. All masks are causal, so this one adds nothing to another.
struct Causal {
  static constexpr Role role = Role::mask;
  std::string name() const { return "causal"; }
  friend constexpr bool operator==(Causal const&, Causal const&) = default;
};

/// The sequence is cut into blocks of `size` positions, and no token sees beyond its own (Llama 4's layers with
/// rotations). Math: position q sees k ≤ q with q div size = k div size. Units: tokens.
struct FixedBlock {
  static constexpr Role role = Role::mask;
  int size = 8192;
  std::string name() const { return "fixed block " + std::to_string(size); }
  friend constexpr bool operator==(FixedBlock const&, FixedBlock const&) = default;
};

/// A token sees the last `size` tokens, itself among them (Beltagy et al. 2020, arXiv:2004.05150).
/// Math: position q sees q - size < k ≤ q. Units: tokens.
struct SlidingWindow {
  static constexpr Role role = Role::mask;
  int size = 4096;
  std::string name() const { return "window " + std::to_string(size); }
  friend constexpr bool operator==(SlidingWindow const&, SlidingWindow const&) = default;
};

/// No token sees beyond its document. Token `end` ends one, and belongs to the document that it ends.
/// Math: the document of position t is the number of `end` tokens strictly before t. Source: torchtitan's block_causal.
struct Documents {
  static constexpr Role role = Role::mask;
  int end = -1;  ///< a token of the vocabulary; must be given
  std::string name() const { return "documents by " + std::to_string(end); }
  friend constexpr bool operator==(Documents const&, Documents const&) = default;
};

/// A token sees what both masks let it see. Made by `&`.
template <class First, class Second>
struct Both {
  static constexpr Role role = Role::mask;
  First first{};
  Second second{};
  std::string name() const
    requires requires(First const& a, Second const& b) { a.name() + b.name(); }
  {
    return first.name() + " & " + second.name();
  }
  friend constexpr bool operator==(Both const&, Both const&) = default;
};

namespace detail {

/// Whether `Mask` is of kind `Kind` or joins one of it.
template <class Mask, class Kind>
inline constexpr bool has_mask = std::same_as<Mask, Kind>;
template <class First, class Second, class Kind>
inline constexpr bool has_mask<Both<First, Second>, Kind> = has_mask<First, Kind> || has_mask<Second, Kind>;

template <class Mask, class Other>
inline constexpr bool shares_kind = has_mask<Other, Mask>;
template <class First, class Second, class Other>
inline constexpr bool shares_kind<Both<First, Second>, Other> = shares_kind<First, Other> || shares_kind<Second, Other>;

}  // namespace detail

/// The conjunction of two masks; `Causal` adds nothing. Errors (compile time): two of one kind, as one of them would say
/// nothing; an `every<N>`, whose arguments are to be joined instead.
/// Example: `every<4>(Causal{} & Documents{.end = 5}, FixedBlock{.size = 16} & Documents{.end = 5})`.
template <Fills<Role::mask> First, Fills<Role::mask> Second>
constexpr auto operator&(First first, Second second) {
  static_assert(!requires { first.chosen; } && !requires { second.chosen; },
                "&: masks are joined inside of every<N> (write every<N>(A & C, B & C) for every<N>(A, B) & C)");
  static_assert(std::same_as<First, Causal> || !detail::shares_kind<First, Second>,
                "&: the two masks must be of different kinds (of two blocks or two windows keep the smaller)");
  if constexpr (std::same_as<First, Causal>) {
    return second;
  } else if constexpr (std::same_as<Second, Causal>) {
    return first;
  } else {
    return Both<First, Second>{first, second};
  }
}

}  // namespace lierne
