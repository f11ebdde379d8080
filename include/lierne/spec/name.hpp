// SPDX-License-Identifier: Apache-2.0
// A record as one line of text, for logs and run directories.
#pragma once

#include <string>
#include <string_view>

#include "lierne/core/error.hpp"
#include "lierne/spec/decoder.hpp"

namespace lierne {

namespace detail {

template <class Slot>
std::string slot_name(Slot const& slot) {
  if constexpr (requires { slot.name(); }) {
    return std::string(slot.name());
  } else {
    return std::string("own ") + lierne::name(Slot::role);
  }
}
template <int N, Phase phase, class Chosen, class Others>
std::string slot_name(Every<N, phase, Chosen, Others> const& slot) {
  return std::string(phase == Phase::last ? "every<" : "every_from_first<") + std::to_string(N) + ">(" +
         slot_name(slot.chosen) + ", " + slot_name(slot.others) + ")";
}

}  // namespace detail

/// The record in one line; loss, recomputation and switches where they are not the defaults. A piece of your own is named by
/// its `name()`, where it has one.
/// Example: `decoder 8x512 vocab 8192: attention 8/2, every<4>(nope, rope 500000), causal, swiglu, rmsnorm, standard, float32`.
template <class... Slots>
std::string name(Decoder<Slots...> const& spec) {
  std::string text = message("decoder ", spec.layers, "x", spec.width, " vocab ", spec.vocab, ": ");
  auto const add = [&](std::string_view part, bool shown = true) {
    if (shown) (text += text.ends_with(": ") ? "" : ", ") += part;
  };
  auto const add_all = [&](auto const&... slots) { (add(detail::slot_name(slots)), ...); };
  add_all(spec.mixer, spec.position, spec.mask, spec.channel, spec.norm, spec.scaling, spec.precision);
  constexpr bool usual_loss = std::is_same_v<std::remove_cvref_t<decltype(spec.loss)>, CrossEntropy>;
  auto const loss = detail::slot_name(spec.loss);
  add(loss, !usual_loss || loss != CrossEntropy{}.name());
  add(detail::slot_name(spec.recompute), !std::is_same_v<std::remove_cvref_t<decltype(spec.recompute)>, NoRecompute>);
  add("tied", spec.tied);
  add("embedding norm", spec.embedding_norm);
  add("peri-norm", spec.peri_norm);
  return text;
}

}  // namespace lierne
