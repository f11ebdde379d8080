// SPDX-License-Identifier: Apache-2.0
// The mixture of experts.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/nn/balance.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/nn/linear.hpp"
#include "lierne/nn/recompute.hpp"
#include "lierne/nn/routing.hpp"
#include "lierne/nn/sequence.hpp"
#include "lierne/spec/block.hpp"

#if LIERNE_BODIES
#include "lierne/nn/kernel/routed_experts.hpp"
#include "lierne/nn/kernel/swiglu.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// B batch, L length, D width, T = B·L tokens, E experts, F hidden size of one.

namespace lierne {

/// The weights of all experts, one behind the other.
struct Experts {
  Parameter w1, w2, w3;  ///< [E, F, D], [E, D, F], [E, F, D]

  static void members(auto& self, auto&& visit) {
    visit("w1", self.w1);
    visit("w2", self.w2);
    visit("w3", self.w3);
  }
};

/// The router's product. Numerics: in the master dtype, so that rounding does not move a token to another expert.
struct Router {
  Linear gate;
  static void members(auto& self, auto&& visit) { visit("gate", self.gate); }
};

/// The experts that see every token, as one network.
struct SharedExperts {
  Linear w1, w2, w3;

  static void members(auto& self, auto&& visit) {
    visit("w1", self.w1);
    visit("w2", self.w2);
    visit("w3", self.w3);
  }
  /// Where the sequence notes what is recomputed, their activations are.
  Tensor operator()(Tensor const& x, Sequence const& sequence = {}) const;
};

namespace detail {

/// What a mixture computes on tokens [T, D] that is no template: routing, counting and the experts. `base` is what the
/// experts' results are added to. Where the sequence notes what is recomputed, rows and activations are.
Tensor mix_experts(Tensor const& x, Tensor const& base, Router const& router, Experts const& experts, Tensor const& bias,
                   Tensor const& counts, Moe const& spec, Sequence const& sequence);

Experts make_experts(Moe const& spec, int width, Initial const& inward, Initial const& outward);

}  // namespace detail

/// The layer of `Moe`. Shapes: x [B, L, D] → [B, L, D]. Counts its tokens in passes whose sequence says so.
/// Numerics: router, scores and the sum over experts in the master dtype, experts in the compute dtype, or in eight bits
/// where their weights' `product` says so.
template <auto block>
struct MoeLayer {
  static constexpr Moe spec = block.channel;
  static constexpr std::int64_t hidden = spec.hidden_size(block.width);
  static constexpr bool shares = spec.shared > 0, balances = spec.balance > 0;

  Experts experts;
  Router router;
  std::conditional_t<shares, SharedExperts, detail::Absent> shared_experts;
  std::conditional_t<balances, Buffer, detail::Absent> expert_bias;
  Buffer tokens_per_expert{.shape = {spec.experts}, .dtype = int64, .persistent = false};

  static MoeLayer make(Initial outward) {
    auto const inward = Initial::of(block.scaling.inward(block.width));
    MoeLayer layer{.experts = detail::make_experts(spec, block.width, inward, outward),
                   .router = {make_linear(block.width, spec.experts, outward)}};
    layer.router.gate.weight.read_as = ReadAs::master;
    if constexpr (shares) {
      auto const inner = hidden * spec.shared;
      layer.shared_experts = {.w1 = make_linear(block.width, inner, inward),
                              .w2 = make_linear(inner, block.width, outward),
                              .w3 = make_linear(block.width, inner, outward)};
    }
    if constexpr (balances) layer.expert_bias = {.shape = {spec.experts}};
    return layer;
  }
  static void members(auto& self, auto&& visit) {
    visit("experts", self.experts);
    visit("router", self.router);
    visit("shared_experts", self.shared_experts);
    visit("expert_bias", self.expert_bias);
    visit("tokens_per_expert", self.tokens_per_expert);
  }

  Tensor operator()(Tensor const& x_BLD, Sequence const& sequence) const {
    auto const x_TD = x_BLD.flatten(0, 1);
    auto noting = sequence;
    if constexpr (!block.recompute.activations) noting.recomputed = nullptr;
    Tensor base, bias;
    if constexpr (shares) base = shared_experts(x_TD, noting);
    if constexpr (balances) bias = expert_bias.value;
    return detail::mix_experts(x_TD, base, router, experts, bias, tokens_per_expert.value, spec, noting).view_as(x_BLD);
  }

  /// What `update_expert_bias` works on.
  RoutedLayer routed() {
    RoutedLayer layer{.tokens_per_expert = &tokens_per_expert, .rate = spec.balance};
    if constexpr (balances) layer.bias = &expert_bias;
    return layer;
  }
};

template <>
struct LayerOf<Moe> {
  template <auto block>
  using layer = MoeLayer<block>;
};

#if LIERNE_BODIES
LIERNE_INLINE Tensor SharedExperts::operator()(Tensor const& x, Sequence const& sequence) const {
  return w2(recomputable<true>(sequence, kernel::swiglu, w1(x), w3(x)));
}

namespace detail {

LIERNE_INLINE Experts make_experts(Moe const& spec, int width, Initial const& inward, Initial const& outward) {
  std::int64_t const hidden = spec.hidden_size(width);
  auto const weight = [&](std::int64_t out, std::int64_t in, Initial const& initial) {
    return Parameter{.shape = {spec.experts, out, in}, .initial = initial, .product = Product::plain};
  };
  return {.w1 = weight(hidden, width, inward), .w2 = weight(width, hidden, outward), .w3 = weight(hidden, width, outward)};
}

LIERNE_INLINE Tensor mix_experts(Tensor const& x, Tensor const& base, Router const& router, Experts const& experts,
                                 Tensor const& bias, Tensor const& counts, Moe const& spec, Sequence const& sequence) {
  auto const& gate = router.gate.weight();
  auto const wide = recomputable(sequence, {x}, [x, type = gate.scalar_type()] { return x.to(type); });
  auto const routing = route(at::linear(wide, gate), bias, spec, sequence.token_weight);
  if (sequence.counts) {
    check(counts.defined(), "moe: counts tokens before init (call model.init(...) first)");
    NoGrad const guard;
    Tensor(counts).add_(kernel::expert_counts(routing.choices, spec.experts));
  }
  auto const make_cheap = [&](TensorList const& sources, std::function<Tensor()> make) {
    return recomputable(sequence, sources, std::move(make));
  };
  auto const in_fp8 = [](Parameter const& weight) { return weight.product == Product::fp8; };
  return kernel::routed_experts(x, base.defined() ? base : at::zeros_like(x), routing.scores, routing.choices,
                                {experts.w1(), experts.w2(), experts.w3()},
                                {.before = spec.score_before_experts,
                                 .w1_in_fp8 = in_fp8(experts.w1),
                                 .w2_in_fp8 = in_fp8(experts.w2),
                                 .w3_in_fp8 = in_fp8(experts.w3),
                                 .make_cheap = make_cheap});
}

}  // namespace detail
#endif

}  // namespace lierne
