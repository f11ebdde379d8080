// SPDX-License-Identifier: Apache-2.0
// Counts of parameters, floating-point operations and bytes, from the record alone.
#pragma once

#include <cstdint>

#include "lierne/core/error.hpp"
#include "lierne/spec/fits.hpp"

namespace lierne {

/// Parameters of a model by kind.
struct ParameterCount {
  std::int64_t embedding = 0;
  std::int64_t mixer = 0;
  std::int64_t channel = 0;
  std::int64_t norm = 0;
  std::int64_t output = 0;

  constexpr std::int64_t total() const { return embedding + mixer + channel + norm + output; }
};

namespace detail {

template <class T>
constexpr std::int64_t piece_parameters(T const& piece, int width) {
  static_assert(requires { piece.parameters(width); },
                "parameters: your piece must say how many weights it has (give it `constexpr std::int64_t "
                "parameters(int width) const`)");
  return piece.parameters(width);
}

}  // namespace detail

/// The number of weights of each kind; a tied table counts as embedding alone. Equal to the presets' counts of torchtitan; buffers are not counted.
/// Example: `static_assert(parameters(gpt).total() == 6'163'712);`
template <class... Slots>
constexpr ParameterCount parameters(Decoder<Slots...> const& spec) {
  using detail::piece_parameters;
  std::int64_t const table = std::int64_t{spec.vocab} * spec.width;
  ParameterCount count{.embedding = table, .output = spec.tied ? 0 : table};
  count.norm = (spec.embedding_norm ? 2 : 1) * piece_parameters(detail::slot_at<0>(spec.norm), spec.width);
  detail::for_each_block(spec, [&](auto const& block, int layers) {
    count.mixer += layers * piece_parameters(block.mixer, block.width);
    count.channel += layers * piece_parameters(block.channel, block.width);
    count.norm += layers * (spec.peri_norm ? 4 : 2) * piece_parameters(block.norm, block.width);
  });
  return count;
}

/// The weights that one token meets: all but those of the experts that it is not sent to.
/// Example: `static_assert(active_parameters(models::llama4_debugmodel) == 6'759'680);`
template <class... Slots>
constexpr std::int64_t active_parameters(Decoder<Slots...> const& spec) {
  std::int64_t active = parameters(spec).total();
  detail::for_each_block(spec, [&](auto const& block, int layers) {
    if constexpr (requires { block.channel.active_parameters(block.width); }) {
      active -= layers * (block.channel.parameters(block.width) - block.channel.active_parameters(block.width));
    }
  });
  return active;
}

/// Training FLOPs for one token at sequence length S: 6 for each active weight outside the embedding (the output's
/// counts, tied or not), and 12·H·d·S a layer for the score and value products (2 forward + 4 backward, two operations
/// each; no causal discount).
/// Source: torchtitan's get_nparams_and_flops.
template <class... Slots>
constexpr double flops_per_token(Decoder<Slots...> const& spec, double sequence) {
  auto const active = active_parameters(spec);
  double flops = 6.0 * static_cast<double>(spec.tied ? active : active - parameters(spec).embedding);
  detail::for_each_block(spec, [&](auto const& block, int layers) {
    if constexpr (requires { block.mixer.sequence_flops(block.width, sequence); }) {
      flops += layers * block.mixer.sequence_flops(block.width, sequence);
    }
  });
  return flops;
}

/// Bytes that one process holds between steps under a plan without `rest`: master weights and `fields` values of
/// optimizer state for each (AdamW: 2), evenly cut. Gradients, activations and buffers come on top, and what a piece of
/// your own keeps whole on every tensor rank.
/// Errors: ArgumentError if the plan has a `rest` (take `resolved(plan, world)`) or a degree below 1.
template <class... Slots>
constexpr double bytes(Decoder<Slots...> const& spec, Plan plan = Plan{}, int fields = 2) {
  if (!well_formed(plan) || plan.replicate == rest || plan.shard == rest) {
    throw ArgumentError("bytes: the plan's degrees must all be 1 or more, found " + to_string(plan) +
                        " (give it resolved(plan, world))");
  }
  auto const count = parameters(spec);
  double const width = bytes_of(decltype(spec.precision)::master);
  // Norms are whole on every tensor rank; all other weights are cut along both axes.
  double const cut = static_cast<double>(count.total() - count.norm) / (plan.shard * plan.tensor);
  return (1 + fields) * width * (cut + static_cast<double>(count.norm) / plan.shard);
}

}  // namespace lierne
