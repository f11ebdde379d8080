// SPDX-License-Identifier: Apache-2.0
// The record of a decoder-only Transformer: sizes and named slots.
#pragma once

#include "lierne/spec/attention.hpp"
#include "lierne/spec/channel.hpp"
#include "lierne/spec/every.hpp"
#include "lierne/spec/loss.hpp"
#include "lierne/spec/mask.hpp"
#include "lierne/spec/moe.hpp"
#include "lierne/spec/norm.hpp"
#include "lierne/spec/position.hpp"
#include "lierne/spec/precision.hpp"
#include "lierne/spec/recompute.hpp"
#include "lierne/spec/scaling.hpp"

namespace lierne {

/// A decoder-only Transformer as a compile-time value; each slot holds a piece, an `every<N>` of pieces, or your own.
/// Math: h = E[token]; per block h += mixer(norm(h)), h += channel(norm(h)); logits = W norm(h). With `embedding_norm`
/// h = norm(E[token]); with `peri_norm` h += norm(mixer(norm(h))), and alike for the channel; `tied`: W = E. The scaling
/// adds its multipliers.
/// Errors (compile time): a piece in the wrong slot is refused here; sizes that do not fit, at `Model` and `fits`.
/// Example: `constexpr Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = Attention{.heads = 8}};`
template <class Mixer = Attention, class Position = Rope, class Mask = Causal, class Channel = SwiGlu,
          class Norm = RmsNorm, class Scaling = Standard, class PrecisionPolicy = Float32, class Loss = CrossEntropy,
          class Recompute = NoRecompute>
struct Decoder {
  static_assert(Fills<Mixer, Role::mixer>,
                "Decoder: .mixer must be a mixer (Attention, or your own piece with role = Role::mixer)");
  static_assert(Fills<Position, Role::position>,
                "Decoder: .position must be a position (Rope, NoPosition, or every<N> of them)");
  static_assert(Fills<Mask, Role::mask>, "Decoder: .mask must be a mask (Causal, or your own with role = Role::mask)");
  static_assert(Fills<Channel, Role::channel>,
                "Decoder: .channel must be a channel mixer (SwiGlu, Moe, or your own piece with role = Role::channel)");
  static_assert(Fills<Norm, Role::norm>, "Decoder: .norm must be a norm (RmsNorm, or your own with role = Role::norm)");
  static_assert(Fills<Scaling, Role::scaling>, "Decoder: .scaling must be a parametrisation (Standard or MuP)");
  static_assert(Fills<PrecisionPolicy, Role::precision>,
                "Decoder: .precision must be a precision (Float32{}, BFloat16{}, Float64{} or Fp8{})");
  static_assert(Fills<Loss, Role::loss>,
                "Decoder: .loss must be a loss (CrossEntropy, or your own with role = Role::loss)");
  static_assert(Fills<Recompute, Role::recompute>,
                "Decoder: .recompute must be a policy of recomputation (NoRecompute, RecomputeBlock, RecomputeSelective, or every<N> of two)");
  static_assert(detail::slot_period<Scaling> == 1,
                "Decoder: .scaling must be the same for all layers (give one parametrisation, not every<N> of two)");
  static_assert(detail::slot_period<PrecisionPolicy> == 1,
                "Decoder: .precision must be the same for all layers (give one precision, not every<N> of two)");
  static_assert(detail::slot_period<Loss> == 1,
                "Decoder: .loss must be one loss (give one, not every<N> of two)");

  int layers = 0;
  int width = 0;
  int vocab = 0;
  Mixer mixer{};
  Position position{};
  Mask mask{};
  Channel channel{};
  Norm norm{};
  Scaling scaling{};
  PrecisionPolicy precision{};
  Loss loss{};
  Recompute recompute{};
  bool tied = false;            ///< the output's weight is the embedding's table
  bool embedding_norm = false;  ///< a norm behind the embedding
  bool peri_norm = false;       ///< a norm on what each branch adds to the stream

  friend constexpr bool operator==(Decoder const&, Decoder const&) = default;
};

}  // namespace lierne
