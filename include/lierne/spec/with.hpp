// SPDX-License-Identifier: Apache-2.0
// A record with some of its slots or sizes replaced: the step from one variant to the next.
#pragma once

#include <concepts>
#include <string_view>

#include "lierne/core/fixed_string.hpp"
#include "lierne/spec/decoder.hpp"

namespace lierne {

/// A number of a Decoder by name, made by `field`.
template <FixedString name>
struct Field {
  static constexpr auto member = name;
  int value = 0;
};

/// Names a number for `with`: layers, width, vocab, or one of the switches tied, embedding_norm and peri_norm.
/// Errors (compile time): an unknown name. Example: `with(gpt, field<"width">(512), field<"tied">(true))`.
template <FixedString name>
constexpr Field<name> field(int value) {
  static_assert(name == "layers" || name == "width" || name == "vocab" || name == "tied" || name == "embedding_norm" ||
                    name == "peri_norm",
                "field: the name must be a number of Decoder (layers, width, vocab, tied, embedding_norm or peri_norm; "
                "slots are replaced by their piece)");
  return {value};
}

namespace detail {

// By the member, not by a specialisation for Field<name>: nvcc's host pass does not match that one.
template <class T>
concept IsField = requires(T change) {
  { T::member.view() } -> std::same_as<std::string_view>;
  { change.value } -> std::same_as<int&>;
};

template <FixedString name, class Value, class Change>
constexpr Value field_or(Value current, Change const& change) {
  if constexpr (IsField<Change>) {
    if constexpr (Change::member == name.view()) return static_cast<Value>(change.value);
  }
  return current;
}
template <class Slot, class Change>
constexpr auto piece_or(Slot const& current, Change const& change) {
  if constexpr (Fills<Change, Slot::role>) {
    return change;
  } else {
    return current;
  }
}

template <class... Slots, class Change>
constexpr auto with_one(Decoder<Slots...> const& spec, Change const& change) {
  static_assert(Piece<Change> || IsField<Change>,
                "with: each change must be a piece of a slot or a field (with(spec, NoPosition{}, field<\"width\">(512)))");
  return Decoder{.layers = field_or<"layers">(spec.layers, change),
                 .width = field_or<"width">(spec.width, change),
                 .vocab = field_or<"vocab">(spec.vocab, change),
                 .mixer = piece_or(spec.mixer, change),
                 .position = piece_or(spec.position, change),
                 .mask = piece_or(spec.mask, change),
                 .channel = piece_or(spec.channel, change),
                 .norm = piece_or(spec.norm, change),
                 .scaling = piece_or(spec.scaling, change),
                 .precision = piece_or(spec.precision, change),
                 .loss = piece_or(spec.loss, change),
                 .recompute = piece_or(spec.recompute, change),
                 .tied = field_or<"tied">(spec.tied, change),
                 .embedding_norm = field_or<"embedding_norm">(spec.embedding_norm, change),
                 .peri_norm = field_or<"peri_norm">(spec.peri_norm, change)};
}

}  // namespace detail

/// The record with each change made, left to right; a piece goes to the slot of its role.
/// Errors (compile time): a change that is neither a piece nor a field.
/// Example: `constexpr auto nope = with(gpt, NoPosition{}, BFloat16{}, field<"layers">(12));`
template <class... Slots>
constexpr auto with(Decoder<Slots...> const& spec) {
  return spec;
}
template <class... Slots, class Change, class... Changes>
constexpr auto with(Decoder<Slots...> const& spec, Change const& change, Changes const&... changes) {
  return with(detail::with_one(spec, change), changes...);
}

}  // namespace lierne
