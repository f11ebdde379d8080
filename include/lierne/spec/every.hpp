// SPDX-License-Identifier: Apache-2.0
// Slots that change from layer to layer with a period.
#pragma once

#include "lierne/core/roles.hpp"

namespace lierne {

/// Which layers of a period take the chosen piece: the last of each period, or the first.
enum class Phase { last, first };

/// A slot whose content alternates: `chosen` on one layer of each `period`, `others` on the rest. Made by `every` and
/// `every_from_first`; nests.
template <int period, Phase phase, class Chosen, class Others>
struct Every {
  static_assert(period >= 1, "every: N must be at least 1 (every<1> gives the first argument to all layers)");
  static_assert(Piece<Chosen> && Piece<Others>,
                "every: both arguments must be pieces of a slot (a piece has `static constexpr Role role`)");
  static_assert(Chosen::role == Others::role,
                "every: both arguments must fill the same slot (two masks, two positions, ...)");
  static constexpr Role role = Chosen::role;

  Chosen chosen{};
  Others others{};

  /// Whether layer l (from 0) takes the chosen piece.
  static constexpr bool chooses(int layer) {
    return phase == Phase::last ? (layer + 1) % period == 0 : layer % period == 0;
  }
  friend constexpr bool operator==(Every const&, Every const&) = default;
};

/// `chosen` on layers l with (l + 1) % N == 0, `others` elsewhere: layers N-1, 2N-1, ... This is the rule of the
/// reference's MoE interleaving and of Meta's and Hugging Face's NoPE layers.
/// Example: `every<4>(NoPosition{}, Rope{.base = 5e5})`.
template <int N, class Chosen, class Others>
constexpr auto every(Chosen chosen, Others others) {
  return Every<N, Phase::last, Chosen, Others>{chosen, others};
}

/// `chosen` on layers l with l % N == 0, `others` elsewhere: layers 0, N, 2N, ... This is torchtitan's NoPE rule.
template <int N, class Chosen, class Others>
constexpr auto every_from_first(Chosen chosen, Others others) {
  return Every<N, Phase::first, Chosen, Others>{chosen, others};
}

namespace detail {

template <int layer, class Slot>
constexpr Slot slot_at(Slot slot) {
  return slot;
}
template <int layer, int N, Phase phase, class Chosen, class Others>
constexpr auto slot_at(Every<N, phase, Chosen, Others> slot) {
  if constexpr (Every<N, phase, Chosen, Others>::chooses(layer)) {
    return slot_at<layer>(slot.chosen);
  } else {
    return slot_at<layer>(slot.others);
  }
}

// The least multiple of both; <numeric>, which has one, takes a tenth of what this folder takes to compile.
constexpr int common_multiple(int a, int b) {
  int multiple = a;
  while (multiple % b != 0) multiple += a;
  return multiple;
}

template <class Slot>
inline constexpr int slot_period = 1;
template <int N, Phase phase, class Chosen, class Others>
inline constexpr int slot_period<Every<N, phase, Chosen, Others>> =
    common_multiple(N, common_multiple(slot_period<Chosen>, slot_period<Others>));

}  // namespace detail

}  // namespace lierne
