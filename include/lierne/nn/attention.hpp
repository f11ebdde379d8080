// SPDX-License-Identifier: Apache-2.0
// Grouped-query attention.
#pragma once

#include "lierne/mesh/placement.hpp"
#include "lierne/nn/biased_linear.hpp"
#include "lierne/nn/head_norm.hpp"
#include "lierne/nn/kernel/attention.hpp"
#include "lierne/nn/kernel/rope.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/nn/linear.hpp"
#include "lierne/nn/mask.hpp"
#include "lierne/nn/observer.hpp"
#include "lierne/nn/rotary.hpp"
#include "lierne/nn/sequence.hpp"
#include "lierne/nn/temperature.hpp"
#include "lierne/spec/block.hpp"

// B batch, L length, D width, N query heads, K key heads, H head size; on a tensor-parallel rank N and K are its own.

namespace lierne {

namespace detail {

/// What stands where an attention has no norm of queries and keys.
struct NoHeadNorm {
  static void members(auto&, auto&&) {}
};

template <bool biased>
auto make_projection(std::int64_t in, std::int64_t out, Initial initial) {
  if constexpr (biased) {
    return make_biased_linear(in, out, initial, 0);
  } else {
    return make_linear(in, out, initial, 0);
  }
}
template <bool weighted>
auto make_optional_head_norm(std::int64_t head_size) {
  if constexpr (weighted) {
    return make_head_norm(head_size);
  } else {
    return NoHeadNorm{};
  }
}

/// The epsilon of a norm's record; 1e-5 for one that has none.
template <class Norm>
constexpr double epsilon_of(Norm const& norm) {
  if constexpr (requires { norm.epsilon; }) return norm.epsilon;
  return 1e-5;
}

}  // namespace detail

/// The layer of `Attention`. Math: wo softmax(s · q kᵀ) v over the keys that the block's mask lets be seen, with s the
/// scaling's attention scale. Queries and keys in this order: product (and bias), weighted norm, rotation, weight-less
/// norm, temperature; each as far as the record has it.
/// Shapes: x [B, L, D] → [B, L, D]. Under tensor parallelism each rank holds N/t query and K/t key heads and yields a
/// summand. Source: torchtitan models/llama3; options as Qwen 2.5, Qwen 3 and Llama 4 have them.
template <auto block>
struct AttentionLayer {
  static constexpr Attention spec = block.mixer;
  static constexpr std::int64_t head_size = spec.head_width(block.width);
  static constexpr std::int64_t inner = spec.heads * head_size;
  static constexpr std::int64_t keys_inner = spec.keys() * head_size;
  static constexpr double epsilon = detail::epsilon_of(block.norm);
  static constexpr auto rope = block.position;  // a table of rotations is kept for it if it is a Rope
  static constexpr bool rotates = std::same_as<std::remove_cvref_t<decltype(block.position)>, Rope>;
  static constexpr bool weighted = spec.qk_norm == QkNorm::weighted;

  static_assert(says_visible_keys<std::remove_cvref_t<decltype(block.mask)>>,
                "Attention: a mask of your own must say what it lets be seen (give it `Tensor first_keys(Tensor const& "
                "tokens) const`)");

  using output = Partial;
  using Projection = std::conditional_t<spec.bias, BiasedLinear, Linear>;
  using Norm = std::conditional_t<weighted, HeadNorm, detail::NoHeadNorm>;

  Projection wq = detail::make_projection<spec.bias>(block.width, inner, Initial::of(block.scaling.inward(block.width)));
  Projection wk = detail::make_projection<spec.bias>(block.width, keys_inner, Initial::of(block.scaling.inward(block.width)));
  Projection wv = detail::make_projection<spec.bias>(block.width, keys_inner, Initial::of(block.scaling.inward(block.width)));
  Linear wo;  // its first values may fall with depth
  Norm q_norm = detail::make_optional_head_norm<weighted>(head_size);
  Norm k_norm = detail::make_optional_head_norm<weighted>(head_size);

  static AttentionLayer make(Initial outward) { return {.wo = make_linear(inner, block.width, outward, 1)}; }
  static void members(auto& self, auto&& visit) {
    visit("wq", self.wq);
    visit("wk", self.wk);
    visit("wv", self.wv);
    visit("wo", self.wo);
    visit("q_norm", self.q_norm);
    visit("k_norm", self.k_norm);
  }

  template <class Watch = Unobserved>
  Tensor operator()(Tensor const& x_BLD, Sequence const& sequence, Watch const& watch = {}) const {
    auto const heads = [](Tensor const& t) { return t.unflatten(-1, {-1, head_size}); };
    auto q_BLNH = heads(wq(x_BLD));
    auto k_BLKH = heads(wk(x_BLD));
    auto const v_BLKH = heads(wv(x_BLD));
    if constexpr (weighted) {
      q_BLNH = q_norm(q_BLNH, epsilon);
      k_BLKH = k_norm(k_BLKH, epsilon);
    }
    if constexpr (rotates) {
      q_BLNH = kernel::rope(q_BLNH, sequence.rotary);
      k_BLKH = kernel::rope(k_BLKH, sequence.rotary);
      if constexpr (spec.qk_norm == QkNorm::weightless) {
        q_BLNH = weightless_head_norm(q_BLNH, epsilon);
        k_BLKH = weightless_head_norm(k_BLKH, epsilon);
      }
    } else if constexpr (spec.temperature.scale != 0) {
      q_BLNH = tempered(q_BLNH, spec.temperature);
    }
    double const scale = block.scaling.attention_scale(static_cast<int>(head_size));
    watch.attention(q_BLNH, k_BLKH, sequence.visible, scale);
    return wo(kernel::attention(q_BLNH, k_BLKH, v_BLKH, sequence.visible, scale).flatten(-2));
  }
};

template <>
struct LayerOf<Attention> {
  template <auto block>
  using layer = AttentionLayer<block>;
};

}  // namespace lierne
