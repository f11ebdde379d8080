// SPDX-License-Identifier: Apache-2.0
// The distinct block types of a decoder: layers with equal records share one.
#pragma once

#include <array>
#include <concepts>
#include <variant>

#include "lierne/nn/block.hpp"

namespace lierne::detail {

template <class... Types>
struct TypeList {
  static constexpr std::size_t count = sizeof...(Types);
  using Variant = std::variant<Types...>;

  template <class T>
  static constexpr std::size_t index_of() {
    std::size_t index = 0, at = 0;
    ((std::same_as<T, Types> ? (index = at++) : at++), ...);
    return index;
  }
  template <class T>
  using Add = std::conditional_t<(std::same_as<T, Types> || ...), TypeList, TypeList<Types..., T>>;
};

template <class List, class... Rest>
struct Unique {
  using type = List;
};
template <class List, class Next, class... Rest>
struct Unique<List, Next, Rest...> {
  using type = typename Unique<typename List::template Add<Next>, Rest...>::type;
};

/// The block types of a record under a tensor degree, which layer has which, and their rotary tables.
template <auto spec, int tensor>
class BlockKinds {
  // Later places of a period that is longer than the model never occur.
  static constexpr int period = std::min(block_period(spec), spec.layers);

  template <int layer>
  using BlockAt = Block<block_at<layer>(spec, tensor)>;

  template <int... layer>
  static typename Unique<TypeList<>, BlockAt<layer>...>::type list(std::integer_sequence<int, layer...>);
  using List = decltype(list(std::make_integer_sequence<int, period>{}));

 public:
  using Variant = typename List::Variant;
  using First = BlockAt<0>;
  static constexpr std::size_t count = List::count;

  /// The block of layer `layer` among `layers`.
  static Variant make(int layer, int layers) {
    return [&]<int... place>(std::integer_sequence<int, place...>) {
      using Make = Variant (*)(int, int);
      constexpr std::array<Make, sizeof...(place)> makers{
          [](int l, int n) -> Variant { return BlockAt<place>::make(l, n); }...};
      return makers[static_cast<std::size_t>(layer % period)](layer, layers);
    }(std::make_integer_sequence<int, period>{});
  }

  static constexpr bool rotates(std::size_t kind) { return rotations()[kind]; }

  /// The table of a kind that rotates.
  static Tensor rotary_table(std::size_t kind, std::int64_t length, Dtype dtype, Device device) {
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
      Tensor table;
      ((k == kind ? void(table = table_of<std::variant_alternative_t<k, Variant>>(length, dtype, device)) : void()), ...);
      return table;
    }(std::make_index_sequence<count>{});
  }

 private:
  template <class B>
  static constexpr bool block_rotates = requires { requires B::Mixer::rotates; };

  static constexpr std::array<bool, count> rotations() {
    return []<std::size_t... k>(std::index_sequence<k...>) {
      return std::array<bool, count>{block_rotates<std::variant_alternative_t<k, Variant>>...};
    }(std::make_index_sequence<count>{});
  }
  template <class B>
  static Tensor table_of(std::int64_t length, Dtype dtype, Device device) {
    if constexpr (block_rotates<B>) {
      return lierne::rotary_table(B::Mixer::rope, B::Mixer::head_size, length, dtype, device);
    } else {
      return {};
    }
  }
};

}  // namespace lierne::detail
