// SPDX-License-Identifier: Apache-2.0
// The gated feed-forward layer.
#pragma once

#include "lierne/mesh/placement.hpp"
#include "lierne/nn/kernel/swiglu.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/nn/linear.hpp"
#include "lierne/nn/recompute.hpp"
#include "lierne/spec/block.hpp"

namespace lierne {

/// The layer of `SwiGlu`. Math: w2(silu(w1 x) ⊙ w3 x). Shapes: x [B, L, D] → [B, L, D], hidden size F.
/// Under tensor parallelism each rank holds F/t hidden units and yields a summand. Source: torchtitan models/llama3.
template <auto block>
struct SwiGluLayer {
  static constexpr std::int64_t hidden = block.channel.hidden_size(block.width);

  using output = Partial;

  Linear w1 = make_linear(block.width, hidden, Initial::of(block.scaling.inward(block.width)), 0);
  Linear w2;  // its first values may fall with depth, as w3's
  Linear w3;

  static SwiGluLayer make(Initial outward) {
    return {.w2 = make_linear(hidden, block.width, outward, 1), .w3 = make_linear(block.width, hidden, outward, 0)};
  }
  static void members(auto& self, auto&& visit) {
    visit("w1", self.w1);
    visit("w2", self.w2);
    visit("w3", self.w3);
  }

  Tensor operator()(Tensor const& x_BLD, Sequence const& sequence = {}) const {
    auto const gate_BLF = w1(x_BLD), up_BLF = w3(x_BLD);
    return w2(recomputable<block.recompute.activations>(sequence, kernel::swiglu, gate_BLF, up_BLF));
  }
};

template <>
struct LayerOf<SwiGlu> {
  template <auto block>
  using layer = SwiGluLayer<block>;
};

}  // namespace lierne
