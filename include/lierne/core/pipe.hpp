// SPDX-License-Identifier: Apache-2.0
// The pipe: a sequence of pieces written with `|`, as a binary node.
#pragma once

#include <concepts>

namespace lierne {

/// The root of all pipe roles. Two pieces join by `|` when they have one role: a stage of a rule joins a stage, a part
/// of a schedule joins a part. Example: `struct StageRole : PipeRole {};` and in the piece `using pipe_role = StageRole;`.
struct PipeRole {};

/// Satisfied if and only if `T` names a role derived from `PipeRole`. Satisfied by `Momentum<>`, `Warmup`, `Pipe<...>`.
template <class T>
concept Pipeable = requires { typename T::pipe_role; } && std::derived_from<typename T::pipe_role, PipeRole>;

/// Two pieces in sequence; a longer pipe nests to the left: `a | b | c` is `Pipe<Pipe<A, B>, C>`.
/// Grouping does not matter to what a pipe does: `(a | b) | c` and `a | (b | c)` visit the same pieces in the same order.
/// Numerics: a node of two named members compiles several times faster than a tuple, and equal prefixes share a type.
template <class Left, class Right>
struct Pipe {
  using pipe_role = typename Left::pipe_role;

  [[no_unique_address]] Left left;
  [[no_unique_address]] Right right;
};

namespace detail {

template <class T>
inline constexpr bool is_pipe = false;
template <class Left, class Right>
inline constexpr bool is_pipe<Pipe<Left, Right>> = true;

}  // namespace detail

/// Satisfied if and only if `T` is a `Pipe` of two pieces.
template <class T>
concept PipeNode = detail::is_pipe<T>;

/// `left | right`: first left, then right. Errors (compile time): pieces of different roles do not join.
template <Pipeable Left, Pipeable Right>
constexpr Pipe<Left, Right> operator|(Left left, Right right) {
  static_assert(std::same_as<typename Left::pipe_role, typename Right::pipe_role>,
                "pipe: the pieces on both sides of | must have one role (join stages of a rule with stages, parts of a "
                "schedule with parts, and give the two to ln::scheduled)");
  return {static_cast<Left&&>(left), static_cast<Right&&>(right)};
}

/// The same as `first | rest | ...`, for pieces of your own namespace, where `|` is not found.
template <Pipeable First, Pipeable... Rest>
constexpr auto pipe(First first, Rest... rest) {
  return (static_cast<First&&>(first) | ... | static_cast<Rest&&>(rest));
}

/// The number of pieces in a pipe; 1 for a piece.
template <class T>
inline constexpr int pieces = 1;
template <class Left, class Right>
inline constexpr int pieces<Pipe<Left, Right>> = pieces<Left> + pieces<Right>;

/// Calls `visit(piece)` on every piece from left to right.
template <class T, class Visit>
constexpr void for_each_piece(T const& node, Visit&& visit) {
  if constexpr (PipeNode<T>) {
    for_each_piece(node.left, visit);
    for_each_piece(node.right, visit);
  } else {
    visit(node);
  }
}

}  // namespace lierne
