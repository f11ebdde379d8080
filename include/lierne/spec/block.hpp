// SPDX-License-Identifier: Apache-2.0
// Resolves a layer of a decoder to the small record of what its block uses.
#pragma once

#include <type_traits>
#include <utility>

#include "lierne/spec/decoder.hpp"

namespace lierne {

/// What one block is made of. Layers with equal records share one `Block` type. `tensor` is the degree of the plan's
/// tensor axis: the number of ranks that a placed layer is cut into.
template <class Mixer, class Position, class Mask, class Channel, class Norm, class Scaling, class PrecisionPolicy,
          class Recompute>
struct BlockSpec {
  int width = 0;
  Mixer mixer{};
  Position position{};
  Mask mask{};
  Channel channel{};
  Norm norm{};
  Scaling scaling{};
  PrecisionPolicy precision{};
  Recompute recompute{};
  bool peri_norm = false;
  int tensor = 1;

  friend constexpr bool operator==(BlockSpec const&, BlockSpec const&) = default;
};

/// The record of layer `layer` (from 0): every slot resolved by its `every` rules.
/// Example: `static_assert(block_at<3>(gpt).position == NoPosition{});`
template <int layer, class... Slots>
constexpr auto block_at(Decoder<Slots...> const& spec, int tensor = 1) {
  return BlockSpec{.width = spec.width,
                   .mixer = detail::slot_at<layer>(spec.mixer),
                   .position = detail::slot_at<layer>(spec.position),
                   .mask = detail::slot_at<layer>(spec.mask),
                   .channel = detail::slot_at<layer>(spec.channel),
                   .norm = detail::slot_at<layer>(spec.norm),
                   .scaling = detail::slot_at<layer>(spec.scaling),
                   .precision = spec.precision,
                   .recompute = detail::slot_at<layer>(spec.recompute),
                   .peri_norm = spec.peri_norm,
                   .tensor = tensor};
}

namespace detail {

template <class... Slots>
constexpr int lcm_of_periods() {
  int period = 1;
  ((period = common_multiple(period, slot_period<Slots>)), ...);
  return period;
}

}  // namespace detail

/// After how many layers the sequence of block records repeats.
template <class... Slots>
constexpr int block_period(Decoder<Slots...> const&) {
  return detail::lcm_of_periods<Slots...>();
}

namespace detail {

/// Calls `visit(block record, number of layers that have it)` for each distinct place in the period.
template <class... Slots, class Visit>
constexpr void for_each_block(Decoder<Slots...> const& spec, Visit visit) {
  constexpr int period = lcm_of_periods<Slots...>();
  [&]<int... layer>(std::integer_sequence<int, layer...>) {
    auto const visit_one = [&]<int l>(std::integral_constant<int, l>) {
      if (l < spec.layers) visit(block_at<l>(spec), (spec.layers - l + period - 1) / period);
    };
    (visit_one(std::integral_constant<int, layer>{}), ...);
  }(std::make_integer_sequence<int, period>{});
}

}  // namespace detail

}  // namespace lierne
