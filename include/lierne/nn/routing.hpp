// SPDX-License-Identifier: Apache-2.0
// Which experts a token is sent to, and with which scores.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/nn/sequence.hpp"
#include "lierne/spec/moe.hpp"
#include "lierne/tensor/buffer.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/dispatch.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// T tokens, E experts, K = top_k.

namespace lierne {

/// What a router decides.
struct Routing {
  Tensor choices;  ///< [T, K] of int64, by falling score
  Tensor scores;   ///< [T, K], of the choices; they carry the gradient of the router
};

/// Math: see `Moe`. Shapes: logits [T, E], bias [E] or undefined → [T, K].
/// With `spec.auxiliary` the gradient of auxiliary · E Σ_e f_e P_e goes into the scores, where f_e is the share of
/// choices that fell on e, P_e the mean of s_e / Σ s, and a token weighs `token_weight`: the returned loss is without
/// that term, and what multiplies the loss afterwards does not multiply it. Source: Fedus et al. 2021, equation 4.
/// Numerics: in the logits' dtype. Errors: `ShapeError`.
Routing route(Tensor const& logits, Tensor const& bias, Moe const& spec, double token_weight = 0);

#if LIERNE_BODIES
namespace detail {

/// `to` as it is; `loss` is added to what is minimised, times `weight`, when a gradient passes.
struct AttachLoss : Function<AttachLoss> {
  static Tensor forward(AutogradContext* context, Tensor const& to, Tensor const& loss, double weight) {
    context->saved_data["gradient"] = at::full_like(loss, weight);
    return to.view_as(to);
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    return {gradients[0], context->saved_data["gradient"].toTensor(), Tensor()};
  }
};

inline Tensor attach_auxiliary_loss(Tensor const& to, Tensor const& affinity, Tensor const& choices, Moe const& spec,
                                    double token_weight) {
  auto const share = kernel::expert_counts(choices, spec.experts).to(affinity.scalar_type()) /
                     static_cast<double>(choices.numel());
  auto const probability = affinity / affinity.sum(-1, /*keepdim=*/true);
  auto const loss = (share * probability.mean(0)).sum() * (spec.auxiliary * spec.experts);
  return AttachLoss::apply(to, loss, token_weight * static_cast<double>(affinity.size(0)));
}

}  // namespace detail

LIERNE_INLINE Routing route(Tensor const& logits, Tensor const& bias, Moe const& spec, double token_weight) {
  check<ShapeError>(logits.dim() == 2 && logits.size(1) == spec.experts && (!bias.defined() || bias.numel() == spec.experts),
                    "route: expected logits [T, ", spec.experts, "] and a bias of ", spec.experts, ", found ",
                    to_string(logits.sizes()), " and ", bias.defined() ? to_string(bias.sizes()) : "none");
  auto const affinity = spec.score == Score::sigmoid ? at::sigmoid(logits) : at::softmax(logits, -1);
  Routing result;
  {
    NoGrad const guard;
    if (spec.forced_balance) {
      auto const slots = at::arange(logits.size(0) * spec.top_k, logits.options().dtype(int64));
      result.choices = at::remainder(slots, spec.experts).view({-1, spec.top_k});
    } else {
      result.choices = std::get<1>(at::topk(bias.defined() ? affinity + bias : affinity, spec.top_k, -1));
    }
  }
  result.scores = affinity.gather(1, result.choices);
  if (spec.route_norm) result.scores = result.scores / (result.scores.sum(-1, /*keepdim=*/true) + 1e-20);
  if (spec.route_scale != 1) result.scores = result.scores * spec.route_scale;
  if (spec.auxiliary != 0 && token_weight != 0 && logits.size(0) > 0) {
    result.scores = detail::attach_auxiliary_loss(result.scores, affinity, result.choices, spec, token_weight);
  }
  return result;
}
#endif

}  // namespace lierne
