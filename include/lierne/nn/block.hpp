// SPDX-License-Identifier: Apache-2.0
// One block of the decoder: mixer and channel, each behind a norm and added to the residual stream.
#pragma once

#include "lierne/mesh/redistribute.hpp"
#include "lierne/nn/attention.hpp"
#include "lierne/nn/norm.hpp"
#include "lierne/nn/observer.hpp"
#include "lierne/nn/swiglu.hpp"

namespace lierne {

namespace detail {

// A layer whose first values fall with depth says so with `make(deviation)`.
template <class Layer>
Layer make_layer(double residual_deviation) {
  if constexpr (requires { Layer::make(residual_deviation); }) {
    return Layer::make(residual_deviation);
  } else {
    return Layer{};
  }
}

/// The residual stream after an addition, and its norm; a norm that can do both at once does.
template <class Norm>
std::pair<Tensor, Tensor> add_and_norm(Norm const& norm, Tensor const& stream, Tensor const& delta, Dtype compute) {
  if constexpr (requires { norm.add(stream, delta, compute); }) {
    auto added = norm.add(stream, delta, compute);
    return {std::move(added.sum), std::move(added.normed)};
  } else {
    auto sum = stream + delta;
    auto normed = norm(sum, compute);
    return {std::move(sum), std::move(normed)};
  }
}

// A layer takes as much of the context as it looks at: the sequence and the watch, the sequence, or nothing.
template <class Layer>
Tensor call_with_context(Layer const& layer, Tensor const& x) {
  return layer(x);
}
template <class Layer, class Watch>
Tensor call_with_context(Layer const& layer, Tensor const& x, Sequence const& sequence, Watch const& watch) {
  if constexpr (requires { layer(x, sequence, watch); }) {
    return layer(x, sequence, watch);
  } else if constexpr (requires { layer(x, sequence); }) {
    return layer(x, sequence);
  } else {
    return layer(x);
  }
}

/// Runs a layer on an input cut along the sequence (dimension 1) and cuts its output the same way.
template <int tensor, class Layer, class... Context>
Tensor run_region(Layer const& layer, Tensor const& x, Group const& group, Context const&... context) {
  auto const run = [&](Tensor const& whole) {
    return call_with_context(layer, whole, context...);
  };
  if constexpr (tensor == 1) {
    return run(x);
  } else {
    using Output = typename LayerPlacement<Layer>::output;
    auto const whole = redistribute<Replicated>(Placed<Sharded<1>>{x}, group);
    return redistribute<Sharded<1>>(Placed<Output>{run(whole.local)}, group).local;
  }
}

}  // namespace detail

/// One block: h += mixer(norm(h)); h += channel(norm(h)). Shapes: [B, L, D] → [B, L, D], or L/t of it on each of t
/// tensor-parallel ranks. Numerics: the residual stream has the master dtype; layers work in the compute dtype.
template <auto block>
struct Block {
  using MixerPiece = std::remove_cvref_t<decltype(block.mixer)>;
  using ChannelPiece = std::remove_cvref_t<decltype(block.channel)>;
  using Norm = typename LayerOf<std::remove_cvref_t<decltype(block.norm)>>::template layer<block>;
  using Mixer = typename LayerOf<MixerPiece>::template layer<block>;
  using Channel = typename LayerOf<ChannelPiece>::template layer<block>;

  Mixer mixer;
  Channel channel;
  Norm mixer_norm{};
  Norm channel_norm{};

  /// Of layer `layer` among `layers`: with depth scaling the residual deviation falls with the layer's own depth.
  static Block make(int layer, int layers) {
    double const depth = block.scaling.by_depth ? layer + 1 : layers;
    double const deviation = block.scaling.deviation / std::sqrt(2 * depth);
    return {.mixer = detail::make_layer<Mixer>(deviation), .channel = detail::make_layer<Channel>(deviation)};
  }
  static void members(auto& self, auto&& visit) {
    visit(module_name<MixerPiece>("mixer"), self.mixer);
    visit(module_name<ChannelPiece>("channel"), self.channel);
    visit("attention_norm", self.mixer_norm);
    visit("ffn_norm", self.channel_norm);
  }

  template <class Watch = Unobserved>
  Tensor operator()(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group,
                    Watch const& watch = {}) const {
    auto const watch_mixer = watch.below(module_name<MixerPiece>("mixer"));
    auto const mixed = detail::run_region<block.tensor>(mixer, mixer_norm(h, compute), group, sequence, watch_mixer);
    watch_mixer.see(mixed);
    auto const [sum, normed] = detail::add_and_norm(channel_norm, h, mixed, compute);
    auto const channelled = detail::run_region<block.tensor>(channel, normed, group);
    watch.below(module_name<ChannelPiece>("channel")).see(channelled);
    return sum + channelled;
  }
};

}  // namespace lierne
