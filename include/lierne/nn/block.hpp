// SPDX-License-Identifier: Apache-2.0
// One block of the decoder: mixer and channel, each behind a norm and added to the residual stream.
#pragma once

#include "lierne/mesh/redistribute.hpp"
#include "lierne/nn/attention.hpp"
#include "lierne/nn/feed_forward.hpp"
#include "lierne/nn/moe.hpp"
#include "lierne/nn/norm.hpp"
#include "lierne/nn/observer.hpp"
#include "lierne/nn/recompute.hpp"
#include "lierne/tensor/dtype.hpp"

namespace lierne {

namespace detail {

// A layer with products whose first values may hang on its depth takes them: `make(Initial outward)`.
template <class Layer>
Layer make_layer(Initial const& outward) {
  if constexpr (requires { Layer::make(outward); }) {
    return Layer::make(outward);
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
    auto sum = stream.add(delta);
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

/// What a layer reads of a tensor that is cut along the sequence (dimension 1): all of it.
template <int tensor>
Tensor enter_region(Tensor const& x, Group const& group) {
  if constexpr (tensor == 1) {
    return x;
  } else {
    return redistribute<Replicated>(Placed<Sharded<1>>{x}, group).local;
  }
}

/// Runs a layer on what `enter_region` gives, and cuts its output along the sequence again.
template <int tensor, class Layer, class... Context>
Tensor run_region(Layer const& layer, Tensor const& whole, Group const& group, Context const&... context) {
  auto const result = call_with_context(layer, whole, context...);
  if constexpr (tensor == 1) {
    return result;
  } else {
    using Output = typename LayerPlacement<Layer>::output;
    return redistribute<Sharded<1>>(Placed<Output>{result}, group).local;
  }
}

}  // namespace detail

/// One block: h += r·mixer(norm(h)); h += r·channel(norm(h)), where r is 1 or the scaling's branch multiplier; with
/// peri-norm the branch's result is normalised before. Shapes: [B, L, D] → [B, L, D], or L/t of it on each of t
/// tensor-parallel ranks. Numerics: the residual stream has the master dtype; layers work in the compute dtype, and so
/// does what a branch adds, except behind a peri-norm or a multiplier.
template <auto block>
struct Block {
  using MixerPiece = std::remove_cvref_t<decltype(block.mixer)>;
  using ChannelPiece = std::remove_cvref_t<decltype(block.channel)>;
  using Norm = typename LayerOf<std::remove_cvref_t<decltype(block.norm)>>::template layer<block>;
  using Mixer = typename LayerOf<MixerPiece>::template layer<block>;
  using Channel = typename LayerOf<ChannelPiece>::template layer<block>;

  using PostNorm = std::conditional_t<block.peri_norm, Norm, NoLayer>;

  Mixer mixer;
  Channel channel;
  Norm mixer_norm{};
  Norm channel_norm{};
  PostNorm post_mixer_norm{};
  PostNorm post_channel_norm{};
  double branch_multiplier = 1;

  /// Of layer `layer` among `layers`.
  static Block make(int layer, int layers) {
    auto const outward = Initial::of(block.scaling.outward(block.width, layer, layers));
    return {.mixer = detail::make_layer<Mixer>(outward),
            .channel = detail::make_layer<Channel>(outward),
            .branch_multiplier = block.scaling.branch_multiplier(layers)};
  }
  static void members(auto& self, auto&& visit) {
    visit(module_name<MixerPiece>("mixer"), self.mixer);
    visit(module_name<ChannelPiece>("channel"), self.channel);
    visit("attention_norm", self.mixer_norm);
    visit("ffn_norm", self.channel_norm);
    visit("post_attn_norm", self.post_mixer_norm);
    visit("post_ffn_norm", self.post_channel_norm);
    visit("branch_multiplier", self.branch_multiplier);
  }

  template <class Watch = Unobserved>
  Tensor operator()(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group,
                    Watch const& watch = {}) const {
    if constexpr (!block.recompute.block && (block.recompute.norms || block.recompute.activations)) {
      if (records_gradients()) {
        Recomputed recomputed;
        auto noting = sequence;
        noting.recomputed = &recomputed;
        return recomputed.finish(run(h, noting, compute, group, watch));
      }
    }
    return run(h, sequence, compute, group, watch);
  }

 private:
  template <class Watch>
  Tensor run(Tensor const& h, Sequence const& sequence, Dtype compute, Group const& group, Watch const& watch) const {
    auto const watch_mixer = watch.below(module_name<MixerPiece>("mixer"));
    auto const mixed = detail::run_region<block.tensor>(
        mixer, input(mixer_norm, mixer_norm(h, compute), h, sequence, compute, group), group, sequence, watch_mixer);
    watch_mixer.see(mixed);
    auto const [sum, normed] = detail::add_and_norm(channel_norm, h, branch(mixed, post_mixer_norm), compute);
    auto const watch_channel = watch.below(module_name<ChannelPiece>("channel"));
    auto const channelled = detail::run_region<block.tensor>(
        channel, input(channel_norm, normed, sum, sequence, compute, group), group, sequence, watch_channel);
    watch_channel.see(channelled);
    return sum.add(branch(channelled, post_channel_norm));
  }

  /// What a layer reads of the normed stream. Where norms are recomputed, a copy of the norm keeps its weight at hand.
  static Tensor input(Norm const& norm, Tensor const& normed, Tensor const& stream, Sequence const& sequence, Dtype compute,
                      Group const& group) {
    auto whole = detail::enter_region<block.tensor>(normed, group);
    if constexpr (!block.recompute.block && block.recompute.norms) {
      if (sequence.recomputed != nullptr) {
        sequence.recomputed->note(whole, {stream}, [norm, stream, compute, &group] {
          return detail::enter_region<block.tensor>(norm(stream, compute), group);
        });
      }
    }
    return whole;
  }

  /// What is added to the stream of a branch's result.
  Tensor branch(Tensor const& result, PostNorm const& post_norm) const {
    Tensor added = result;
    if constexpr (block.peri_norm) added = post_norm(added, dtype(decltype(block.precision)::master));
    if constexpr (block.scaling.scales_branches) added = added.to(dtype(decltype(block.precision)::master)).mul(branch_multiplier);
    return added;
  }
};

}  // namespace lierne
