// SPDX-License-Identifier: Apache-2.0
// Grouped-query attention.
#pragma once

#include <cmath>

#include "lierne/mesh/placement.hpp"
#include "lierne/nn/kernel/attention.hpp"
#include "lierne/nn/kernel/rope.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/nn/linear.hpp"
#include "lierne/nn/observer.hpp"
#include "lierne/nn/rotary.hpp"
#include "lierne/nn/sequence.hpp"
#include "lierne/spec/block.hpp"

// B batch, L length, D width, N query heads, K key heads, H head size; on a tensor-parallel rank N and K are its own.

namespace lierne {

/// The layer of `Attention`. Math: wo softmax(q kᵀ / √H) v with q, k turned by the block's position.
/// Shapes: x [B, L, D] → [B, L, D]. Under tensor parallelism each rank holds N/t query and K/t key heads and yields a
/// summand. Source: torchtitan models/llama3.
template <auto block>
struct AttentionLayer {
  static constexpr Attention spec = block.mixer;
  static constexpr std::int64_t head_size = spec.head_size(block.width);
  static constexpr std::int64_t inner = spec.heads * head_size;
  static constexpr std::int64_t keys_inner = spec.keys() * head_size;
  static constexpr auto rope = block.position;  // a table of rotations is kept for it if it is a Rope
  static constexpr bool rotates = std::same_as<std::remove_cvref_t<decltype(block.position)>, Rope>;

  using output = Partial;

  Linear wq = make_linear(block.width, inner, Initial::of(block.scaling.inward(block.width)), 0);
  Linear wk = make_linear(block.width, keys_inner, Initial::of(block.scaling.inward(block.width)), 0);
  Linear wv = make_linear(block.width, keys_inner, Initial::of(block.scaling.inward(block.width)), 0);
  Linear wo;  // its first values may fall with depth

  static AttentionLayer make(Initial outward) { return {.wo = make_linear(inner, block.width, outward, 1)}; }
  static void members(auto& self, auto&& visit) {
    visit("wq", self.wq);
    visit("wk", self.wk);
    visit("wv", self.wv);
    visit("wo", self.wo);
  }

  template <class Watch = Unobserved>
  Tensor operator()(Tensor const& x_BLD, Sequence const& sequence, Watch const& watch = {}) const {
    auto const heads = [](Tensor const& t) { return t.unflatten(-1, {-1, head_size}); };
    auto q_BLNH = heads(wq(x_BLD));
    auto k_BLKH = heads(wk(x_BLD));
    auto const v_BLKH = heads(wv(x_BLD));
    if constexpr (rotates) {
      q_BLNH = kernel::rope(q_BLNH, sequence.rotary);
      k_BLKH = kernel::rope(k_BLKH, sequence.rotary);
    }
    watch.attention(q_BLNH, k_BLKH);
    return wo(kernel::causal_attention(q_BLNH, k_BLKH, v_BLKH).flatten(-2));
  }
};

template <>
struct LayerOf<Attention> {
  template <auto block>
  using layer = AttentionLayer<block>;
};

}  // namespace lierne
