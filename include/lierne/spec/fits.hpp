// SPDX-License-Identifier: Apache-2.0
// Which sizes of a record fit each other, and which plans they can be cut by.
#pragma once

#include <concepts>
#include <type_traits>

#include "lierne/spec/block.hpp"
#include "lierne/spec/plan.hpp"

namespace lierne {

namespace detail {

// A piece of the user's own answers for itself inside its layer; one that has all of Attention's sizes (SwiGlu's) keeps
// their rules. No rule may fail to evaluate, whatever the sizes: the messages of CheckedSpec depend on it.
template <class Mixer>
concept HasHeads = requires(Mixer const& mixer) {
  { mixer.heads } -> std::convertible_to<int>;
  { mixer.keys() } -> std::convertible_to<int>;
  { mixer.head_width(1) } -> std::convertible_to<int>;
};
template <class Channel>
concept HasHidden = requires(Channel const& channel) {
  { channel.hidden_size(1) } -> std::convertible_to<int>;
};

template <class Mixer>
constexpr bool heads_divide_width(Mixer const& mixer, int width) {
  if constexpr (HasHeads<Mixer>) {
    if constexpr (requires { { mixer.head_size } -> std::convertible_to<int>; }) {
      if (mixer.head_size != 0) return mixer.heads >= 1 && mixer.head_size >= 1;
    }
    return mixer.heads >= 1 && width >= mixer.heads && width % mixer.heads == 0;
  }
  return true;
}
template <class Mixer>
constexpr bool keys_divide_heads(Mixer const& mixer) {
  if constexpr (HasHeads<Mixer>) return mixer.heads >= 1 && mixer.keys() >= 1 && mixer.heads % mixer.keys() == 0;
  return true;
}
template <class Mixer, class Position>
constexpr bool head_size_is_even(Mixer const& mixer, Position const&, int width) {
  if constexpr (HasHeads<Mixer> && std::same_as<Position, Rope>) {
    return mixer.heads < 1 || mixer.head_width(width) % 2 == 0;
  }
  return true;
}
template <class Mixer>
constexpr bool temperature_is_possible(Mixer const& mixer) {
  if constexpr (std::same_as<Mixer, Attention>) return mixer.temperature.scale >= 0 && mixer.temperature.floor >= 1;
  return true;
}
template <class Mask>
constexpr bool mask_size_is_positive(Mask const& mask) {
  if constexpr (std::same_as<Mask, FixedBlock> || std::same_as<Mask, SlidingWindow>) return mask.size >= 1;
  return true;
}
template <class First, class Second>
constexpr bool mask_size_is_positive(Both<First, Second> const& mask) {
  return mask_size_is_positive(mask.first) && mask_size_is_positive(mask.second);
}
template <class Mask>
constexpr bool end_is_a_token(Mask const& mask, int vocab) {
  if constexpr (std::same_as<Mask, Documents>) return mask.end >= 0 && mask.end < vocab;
  return true;
}
template <class First, class Second>
constexpr bool end_is_a_token(Both<First, Second> const& mask, int vocab) {
  return end_is_a_token(mask.first, vocab) && end_is_a_token(mask.second, vocab);
}
template <class Position>
constexpr bool rotation_is_possible(Position const& position) {
  if constexpr (std::same_as<Position, Rope>) {
    auto const& [factor, low, high, original] = position.scaling;
    return position.base > 0 && factor >= 0 && (factor == 0 || (low > 0 && high >= low && original > 0));
  }
  return true;
}
// The library's feed-forwards, whose hidden size follows width, multiplier and multiple_of.
template <class Channel>
inline constexpr bool has_size_rule = std::same_as<Channel, SwiGlu>;
template <class Activation>
inline constexpr bool has_size_rule<Glu<Activation>> = true;
template <class Activation>
inline constexpr bool has_size_rule<Mlp<Activation>> = true;

template <class Channel>
constexpr bool routes(Channel const& channel) {
  if constexpr (std::same_as<Channel, Moe>) {
    return channel.top_k >= 1 && channel.top_k <= channel.experts && channel.shared >= 0;
  }
  return true;
}
template <class Channel>
constexpr bool routing_numbers_are_possible(Channel const& channel) {
  if constexpr (std::same_as<Channel, Moe>) {
    return channel.route_scale >= 0 && channel.balance >= 0 && channel.auxiliary >= 0;
  }
  return true;
}
template <class Channel>
constexpr bool tensor_keeps_experts_whole(Channel const&, int tensor) {
  return tensor == 1 || !std::same_as<Channel, Moe>;
}
template <class Channel>
constexpr bool hidden_is_positive(Channel const& channel, int width) {
  if constexpr (has_size_rule<Channel>) {
    // 4 · width · multiplier stays below 2^31.
    bool const rule_can_be_asked = width >= 1 && channel.multiple_of >= 1 && channel.multiplier >= 0 &&
                                   (channel.multiplier + 1) * width < 5e8;
    return rule_can_be_asked && channel.hidden_size(width) >= 1;
  }
  if constexpr (std::same_as<Channel, Moe>) {
    SwiGlu const rule{.hidden = channel.hidden, .multiplier = channel.multiplier, .multiple_of = channel.multiple_of};
    return routes(channel) && hidden_is_positive(rule, width) && channel.hidden_size(width) >= 1;
  }
  return true;
}
template <class Norm>
constexpr bool epsilon_is_possible(Norm const& norm) {
  if constexpr (std::same_as<Norm, RmsNorm> || std::same_as<Norm, LayerNorm>) return norm.epsilon >= 0;
  return true;
}
template <class Scaling>
constexpr bool deviations_are_possible(Scaling const& scaling) {
  if constexpr (std::same_as<Scaling, Standard> || std::same_as<Scaling, MuP>) {
    return scaling.deviation >= 0 && scaling.embedding_deviation >= 0;
  }
  return true;
}
template <class Scaling>
constexpr bool base_is_possible(Scaling const& scaling) {
  if constexpr (std::same_as<Scaling, MuP>) {
    return scaling.base_width > 0 && scaling.base_layers >= 0 && scaling.base_head_size >= 0 && scaling.output_deviation >= 0;
  }
  return true;
}
template <class Loss>
constexpr bool loss_is_possible(Loss const& loss) {
  if constexpr (std::same_as<Loss, CrossEntropy>) return loss.z >= 0 && loss.soft_cap >= 0;
  return true;
}
template <class Mixer>
constexpr bool tensor_divides_heads(Mixer const& mixer, int tensor) {
  if constexpr (HasHeads<Mixer>) return mixer.heads % tensor == 0 && mixer.keys() % tensor == 0;
  return true;
}
template <class Channel>
constexpr bool tensor_divides_hidden(Channel const& channel, int width, int tensor) {
  if constexpr (HasHidden<Channel>) {
    return !hidden_is_positive(channel, width) || channel.hidden_size(width) % tensor == 0;
  }
  return true;
}

/// True if `rule(block record)` holds for every layer of the spec.
template <class Spec, class Rule>
constexpr bool all_blocks(Spec const& spec, Rule rule) {
  bool all = true;
  for_each_block(spec, [&](auto const& block, int) { all = all && rule(block); });
  return all;
}

struct Fit {
  bool sizes, heads, keys, head_size, temperature, mask_size, end, rotation, routes, routing_numbers, hidden, epsilon;
  bool deviations, base, loss;
  bool plan, tensor_heads, tensor_experts, tensor_hidden, tensor_vocab;
  constexpr bool all() const {
    return sizes && heads && keys && head_size && temperature && mask_size && end && rotation && routes &&
           routing_numbers && hidden && epsilon && deviations && base && loss && plan && tensor_heads &&
           tensor_experts && tensor_hidden && tensor_vocab;
  }
};

template <class Spec>
constexpr Fit fit(Spec const& spec, Plan plan) {
  int const tensor = plan.tensor < 1 ? 1 : plan.tensor;
  auto const all = [&](auto rule) { return all_blocks(spec, rule); };
  return {.sizes = spec.layers >= 1 && spec.width >= 1 && spec.vocab >= 1,
          .heads = all([](auto const& b) { return heads_divide_width(b.mixer, b.width); }),
          .keys = all([](auto const& b) { return keys_divide_heads(b.mixer); }),
          .head_size = all([](auto const& b) { return head_size_is_even(b.mixer, b.position, b.width); }),
          .temperature = all([](auto const& b) { return temperature_is_possible(b.mixer); }),
          .mask_size = all([](auto const& b) { return mask_size_is_positive(b.mask); }),
          .end = all([&](auto const& b) { return end_is_a_token(b.mask, spec.vocab); }),
          .rotation = all([](auto const& b) { return rotation_is_possible(b.position); }),
          .routes = all([](auto const& b) { return lierne::detail::routes(b.channel); }),
          .routing_numbers = all([](auto const& b) { return routing_numbers_are_possible(b.channel); }),
          .hidden = all([](auto const& b) { return hidden_is_positive(b.channel, b.width); }),
          .epsilon = all([](auto const& b) { return epsilon_is_possible(b.norm); }),
          .deviations = deviations_are_possible(spec.scaling),
          .base = base_is_possible(spec.scaling),
          .loss = loss_is_possible(spec.loss),
          .plan = well_formed(plan),
          .tensor_heads = all([&](auto const& b) { return tensor_divides_heads(b.mixer, tensor); }),
          .tensor_experts = all([&](auto const& b) { return tensor_keeps_experts_whole(b.channel, tensor); }),
          .tensor_hidden = all([&](auto const& b) { return tensor_divides_hidden(b.channel, b.width, tensor); }),
          .tensor_vocab = spec.vocab % tensor == 0};
}

template <class T>
inline constexpr bool is_decoder = false;
template <class... Slots>
inline constexpr bool is_decoder<Decoder<Slots...>> = true;

/// The messages of a model's entry: instantiated first, so that a reader sees one of these lines before anything else.
template <auto spec, Plan plan>
struct CheckedSpec {
  static_assert(is_decoder<std::remove_cvref_t<decltype(spec)>>,
                "Model: the first argument must be a Decoder (constexpr Decoder gpt{...}; then Model<gpt>)");
  static constexpr Fit fit = detail::fit(spec, plan);
  static_assert(fit.sizes, "Model: .layers, .width and .vocab must be at least 1 (give all three in the Decoder)");
  static_assert(fit.heads, "Model: mixer.heads must divide width (choose heads so that width % heads == 0, or give mixer.head_size)");
  static_assert(fit.keys, "Model: mixer.kv_heads must divide heads (choose kv_heads so that heads % kv_heads == 0)");
  static_assert(fit.head_size,
                "Model: the head size width / heads must be even under a Rope (change heads, or use NoPosition)");
  static_assert(fit.temperature,
                "Model: mixer.temperature must have a scale of 0 or more and a floor of at least 1 (see QueryTemperature)");
  static_assert(fit.mask_size, "Model: mask sizes must be at least 1 (FixedBlock and SlidingWindow count tokens, the query's "
                               "own among them)");
  static_assert(fit.end, "Model: mask Documents must name a token of the vocabulary (give .end, from 0 to vocab - 1)");
  static_assert(fit.rotation,
                "Model: position.base must be positive, scaling.factor at least 0, low at most high (see RopeScaling)");
  static_assert(fit.routes,
                "Model: channel.top_k must be at least 1 and at most experts, shared at least 0 (see Moe)");
  static_assert(fit.routing_numbers,
                "Model: channel.route_scale, balance and auxiliary must be 0 or more (leave them out for Llama 4's)");
  static_assert(fit.hidden,
                "Model: channel.hidden must be positive, given or by rule (see SwiGlu: multiplier, multiple_of)");
  static_assert(fit.epsilon, "Model: norm.epsilon must be 0 or more (leave it out for 1e-5)");
  static_assert(fit.deviations,
                "Model: scaling.deviation and scaling.embedding_deviation must be 0 or more (leave them out for Llama's)");
  static_assert(fit.base,
                "Model: scaling.base_width must be positive, base_layers, base_head_size and output_deviation 0 or more (see "
                "MuP)");
  static_assert(fit.loss, "Model: loss.z and loss.soft_cap must be 0 or more (0 switches them off)");
  static_assert(fit.plan,
                "Model: plan degrees must be at least 1, and replicate and shard not both rest (fix the Plan)");
  static_assert(fit.tensor_heads,
                "Model: plan.tensor must divide heads and kv_heads (lower plan.tensor, or change the mixer)");
  static_assert(fit.tensor_experts,
                "Model: plan.tensor must be 1 with a Moe (cut the experts by .shard; the tensor axis does not take them yet)");
  static_assert(fit.tensor_hidden,
                "Model: plan.tensor must divide the channel's hidden size (lower plan.tensor, or set channel.hidden)");
  static_assert(fit.tensor_vocab,
                "Model: plan.tensor must divide vocab (pad vocab to a multiple, or lower plan.tensor)");
  static constexpr bool value = true;
};

}  // namespace detail

/// Whether the record's sizes fit each other and the plan's compile-time degrees cut them evenly.
/// The same conditions stop `Model<spec, plan>`, each with its own message.
/// Example: `static_assert(fits(gpt, plan));`
template <class... Slots>
constexpr bool fits(Decoder<Slots...> const& spec, Plan plan = Plan{}) {
  return detail::fit(spec, plan).all();
}

/// Whether, besides, `world` processes can take the plan's degrees exactly.
template <class... Slots>
constexpr bool fits(Decoder<Slots...> const& spec, Plan plan, int world) {
  return fits(spec, plan) && fits(plan, world);
}

}  // namespace lierne
