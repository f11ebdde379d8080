// SPDX-License-Identifier: Apache-2.0
// The feed-forward layers: gated and not.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/mesh/placement.hpp"
#include "lierne/nn/kernel/swiglu.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/nn/linear.hpp"
#include "lierne/nn/recompute.hpp"
#include "lierne/spec/block.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// The activation of a piece, element by element. Numerics: in x's dtype, as ATen does it.
Tensor activate(Silu, Tensor const& x);
Tensor activate(Gelu gelu, Tensor const& x);
Tensor activate(SquaredRelu, Tensor const& x);
/// One of the user's own.
template <class Activation>
  requires std::invocable<Activation const&, Tensor const&>
Tensor activate(Activation const& activation, Tensor const& x) {
  return activation(x);
}

/// The activation of a gated piece.
constexpr Silu activation_of(SwiGlu const&) { return {}; }
template <class Activation>
constexpr Activation activation_of(Glu<Activation> const& channel) {
  return channel.activation;
}

/// The layer of `SwiGlu` and `Glu`. Math: w2(a(w1 x) ⊙ w3 x). Shapes: x [B, L, D] → [B, L, D], hidden size F.
/// Under tensor parallelism each rank holds F/t hidden units and yields a summand. Source: torchtitan models/llama3.
/// Numerics: with silu, activation and product in one pass; see kernel::swiglu.
template <auto block>
struct GluLayer {
  static constexpr auto activation = activation_of(block.channel);
  static constexpr std::int64_t hidden = block.channel.hidden_size(block.width);

  using output = Partial;

  Linear w1 = make_linear(block.width, hidden, Initial::of(block.scaling.inward(block.width)), 0);
  Linear w2;  // its first values may fall with depth, as w3's
  Linear w3;

  static GluLayer make(Initial outward) {
    return {.w2 = make_linear(hidden, block.width, outward, 1), .w3 = make_linear(block.width, hidden, outward, 0)};
  }
  static void members(auto& self, auto&& visit) {
    visit("w1", self.w1);
    visit("w2", self.w2);
    visit("w3", self.w3);
  }

  Tensor operator()(Tensor const& x_BLD, Sequence const& sequence = {}) const {
    constexpr bool again = block.recompute.activations;
    auto const gate_BLF = w1(x_BLD), up_BLF = w3(x_BLD);
    if constexpr (std::same_as<std::remove_cvref_t<decltype(activation)>, Silu>) {
      return w2(recomputable<again>(sequence, kernel::swiglu, gate_BLF, up_BLF));
    } else {
      auto const activated_BLF = recomputable<again>(sequence, [](Tensor const& x) { return activate(activation, x); }, gate_BLF);
      return w2(recomputable<again>(sequence, [](Tensor const& a, Tensor const& up) { return a.mul(up); }, activated_BLF, up_BLF));
    }
  }
};

/// The layer of `Mlp`. Math: w2 a(w1 x). Shapes and tensor parallelism as `GluLayer`.
template <auto block>
struct MlpLayer {
  static constexpr std::int64_t hidden = block.channel.hidden_size(block.width);

  using output = Partial;

  Linear w1 = make_linear(block.width, hidden, Initial::of(block.scaling.inward(block.width)), 0);
  Linear w2;  // its first values may fall with depth

  static MlpLayer make(Initial outward) { return {.w2 = make_linear(hidden, block.width, outward, 1)}; }
  static void members(auto& self, auto&& visit) {
    visit("w1", self.w1);
    visit("w2", self.w2);
  }

  Tensor operator()(Tensor const& x_BLD, Sequence const& sequence = {}) const {
    return w2(recomputable<block.recompute.activations>(
        sequence, [](Tensor const& x) { return activate(block.channel.activation, x); }, w1(x_BLD)));
  }
};

#if LIERNE_BODIES
LIERNE_INLINE Tensor activate(Silu, Tensor const& x) { return at::silu(x); }
LIERNE_INLINE Tensor activate(Gelu gelu, Tensor const& x) { return at::gelu(x, gelu.approximate ? "tanh" : "none"); }
LIERNE_INLINE Tensor activate(SquaredRelu, Tensor const& x) { return at::relu(x).square(); }
#endif

template <>
struct LayerOf<SwiGlu> {
  template <auto block>
  using layer = GluLayer<block>;
};
template <class Activation>
struct LayerOf<Glu<Activation>> {
  template <auto block>
  using layer = GluLayer<block>;
};
template <class Activation>
struct LayerOf<Mlp<Activation>> {
  template <auto block>
  using layer = MlpLayer<block>;
};

}  // namespace lierne
