// SPDX-License-Identifier: Apache-2.0
// From a piece of the record to the layer that computes it.
#pragma once

#include <string_view>
#include <type_traits>

namespace lierne {

/// Maps a piece to its layer template. The library's pieces specialise it beside their layers; a piece of your own
/// carries its layer inside: `template <auto block> struct Layer { ... };`, where `block` is the BlockSpec it serves.
template <class Piece>
struct LayerOf {
  template <auto block>
  using layer = typename Piece::template Layer<block>;
};

/// What stands where a layer has no such part.
struct NoLayer {
  static void members(auto&, auto&&) {}
};

/// The name under which a piece's parameters appear below their block: the piece's own `module_name`, else `fallback`.
template <class Piece>
constexpr std::string_view module_name(std::string_view fallback) {
  if constexpr (requires { Piece::module_name; }) return Piece::module_name;
  return fallback;
}

namespace detail {

/// What stands where a record leaves a part of a layer out.
struct Absent {
  static void members(auto&, auto&&) {}
};

}  // namespace detail

}  // namespace lierne
