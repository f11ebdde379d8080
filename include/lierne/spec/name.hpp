// SPDX-License-Identifier: Apache-2.0
// A record as one line of text, for logs and run directories.
#pragma once

#include <string>

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

/// The record in one line; loss, recomputation and switches where they are not the defaults. A piece of your own is named by its `name()`, where it has one.
/// Example: `decoder 8x512 vocab 8192: attention 8/2, every<4>(nope, rope 500000), causal, swiglu, rmsnorm, standard, float32`.
template <class... Slots>
std::string name(Decoder<Slots...> const& spec) {
  using detail::slot_name;
  return "decoder " + std::to_string(spec.layers) + "x" + std::to_string(spec.width) + " vocab " +
         std::to_string(spec.vocab) + ": " + slot_name(spec.mixer) + ", " + slot_name(spec.position) + ", " +
         slot_name(spec.mask) + ", " + slot_name(spec.channel) + ", " + slot_name(spec.norm) + ", " +
         slot_name(spec.scaling) + ", " + slot_name(spec.precision) +
         (std::is_same_v<std::remove_cvref_t<decltype(spec.loss)>, CrossEntropy> && slot_name(spec.loss) == "cross entropy"
              ? ""
              : ", " + slot_name(spec.loss)) +
         (std::is_same_v<std::remove_cvref_t<decltype(spec.recompute)>, NoRecompute> ? ""
                                                                                     : ", " + slot_name(spec.recompute)) +
         (spec.tied ? ", tied" : "") + (spec.embedding_norm ? ", embedding norm" : "") +
         (spec.peri_norm ? ", peri-norm" : "");
}

}  // namespace lierne
