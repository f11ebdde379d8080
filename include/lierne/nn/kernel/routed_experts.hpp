// SPDX-License-Identifier: Apache-2.0
// The experts of a mixture: rows gathered by expert, SwiGLU with each expert's weights, and the sum back into tokens.
#pragma once

#include <functional>

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/function_ref.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/dispatch.hpp"
#include "lierne/nn/kernel/expert_rows.hpp"
#include "lierne/nn/kernel/fp8_grouped_product.hpp"
#include "lierne/nn/kernel/grouped_product.hpp"
#include "lierne/nn/kernel/swiglu.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// T tokens, K choices, E experts, D width, F hidden size, S = T·K slots, R rows.

namespace lierne::kernel {

/// The weights of all experts: w1 and w3 [E, F, D], w2 [E, D, F].
struct ExpertWeights {
  Tensor w1, w2, w3;
};

/// Makes, by `make`, a value of `sources` that only backward passes hear of later and that costs little: whoever gives
/// one may free the value's memory meanwhile, and make it again.
using MakeCheap = FunctionRef<Tensor(TensorList const& sources, std::function<Tensor()> make)>;

/// How experts work.
struct ExpertSettings {
  bool before = true;              ///< scores weigh what experts read; otherwise what they return
  bool w1_in_fp8 = false;          ///< the product in eight bits; see `fp8_grouped_product`
  bool w2_in_fp8 = false;
  bool w3_in_fp8 = false;
  MakeCheap make_cheap = nullptr;  ///< null: what a backward pass reads is kept
};

/// y_t = base_t + Σ_k expert_e(g x_t), or Σ_k g expert_e(x_t) without `before`, with e = choices[t, k], g = scores[t, k]
/// and expert_e(x) = w2_e (silu(w1_e x) ⊙ w3_e x).
/// Shapes: x and base [T, D] of one dtype, scores [T, K] in float32 (float64), choices [T, K] of int64 → [T, D].
/// Errors: `ShapeError`. Numerics: products in x's dtype (see `linear` for bfloat16), scores and sums over k in theirs,
/// one rounding of the result; the same bits from run to run, as the sums over k and over rows have one order.
/// On a CPU by blocks of an expert's rows, which keep nothing cheap; on others, in float64 and in eight bits through
/// `grouped_product` and `fp8_grouped_product`, where gathered rows and activations are cheap values.
Tensor routed_experts(Tensor const& x, Tensor const& base, Tensor const& scores, Tensor const& choices,
                      ExpertWeights const& weights, ExpertSettings const& settings);

#if LIERNE_BODIES

namespace detail {

/// Slots to rows, rows that serve none filled with zeros; or, backwards, rows to slots. Each is the other's gradient.
struct MoveRows : Function<MoveRows> {
  static Tensor move(Tensor const& from, Tensor const& slot_of_row, Tensor const& row_of_slot, bool to_rows) {
    if (!to_rows) return from.index_select(0, row_of_slot);
    if (slot_of_row.size(0) == row_of_slot.size(0)) return from.index_select(0, slot_of_row);
    return at::cat({from, at::zeros({1, from.size(1)}, from.options())}).index_select(0, slot_of_row);
  }
  static Tensor forward(AutogradContext* context, Tensor const& from, Tensor const& slot_of_row, Tensor const& row_of_slot,
                        bool to_rows) {
    context->save_for_backward({slot_of_row, row_of_slot});
    context->saved_data["to_rows"] = to_rows;
    return move(from, slot_of_row, row_of_slot, to_rows);
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    return {move(gradients[0], saved[0], saved[1], !context->saved_data["to_rows"].toBool()), Tensor(), Tensor(), Tensor()};
  }
};

/// The same through ATen's operators, on any device and in any dtype.
inline Tensor routed_experts_by_groups(Tensor const& x, Tensor const& base, Tensor const& scores, Tensor const& choices,
                                       ExpertWeights const& weights, ExpertSettings const& settings, bool aligned) {
  auto const& [w1, w2, w3] = weights;
  auto const to = dispatch(choices, w1.size(0), aligned ? grouped_rows : 1);
  auto const ends = aligned ? to.ends : to.ends.cpu();  // all products wait for the counts once
  auto const product = [&](Tensor const& rows, Tensor const& weight, bool in_fp8) {
    return in_fp8 ? fp8_grouped_product(rows, weight, ends) : grouped_product(rows, weight, ends, aligned);
  };
  auto const cheap = [&](TensorList const& sources, std::function<Tensor()> make) {
    return settings.make_cheap ? settings.make_cheap(sources, std::move(make)) : make();
  };
  bool const before = settings.before;
  auto const wide = before ? cheap({x}, [=] { return x.to(scores.scalar_type()); }) : x;
  auto const rows = cheap({x, wide}, [=] {
    auto const slots = before ? (wide.unsqueeze(1) * scores.unsqueeze(-1)).to(x.scalar_type())
                              : x.unsqueeze(1).expand({-1, scores.size(1), -1});
    return MoveRows::apply(slots.flatten(0, 1), to.slot_of_row, to.row_of_slot, true);
  });
  auto const gate = product(rows, w1, settings.w1_in_fp8), up = product(rows, w3, settings.w3_in_fp8);
  Tensor hidden;
  if (fusible(gate, up)) {
    hidden = cheap({gate, up}, [=] { return swiglu(gate, up); });
  } else {
    auto const activated = cheap({gate}, [=] { return at::silu(gate); });
    hidden = cheap({activated, up}, [=] { return activated * up; });
  }
  auto const out = MoveRows::apply(product(hidden, w2, settings.w2_in_fp8), to.slot_of_row, to.row_of_slot, false);
  auto results = out.view({x.size(0), scores.size(1), x.size(1)}).to(scores.scalar_type());
  if (!before) results = results * scores.unsqueeze(-1);
  return (base + results.sum(1)).to(x.scalar_type());
}

}  // namespace detail

LIERNE_INLINE Tensor routed_experts(Tensor const& x, Tensor const& base, Tensor const& scores, Tensor const& choices,
                                    ExpertWeights const& weights, ExpertSettings const& settings) {
  auto const& [w1, w2, w3] = weights;
  bool const in_fp8 = settings.w1_in_fp8 || settings.w2_in_fp8 || settings.w3_in_fp8;
  check<ShapeError>(x.dim() == 2 && base.sizes() == x.sizes() && scores.sizes() == choices.sizes() && scores.dim() == 2 &&
                        scores.size(0) == x.size(0) && w1.dim() == 3 && w1.size(2) == x.size(1) &&
                        w3.sizes() == w1.sizes() && w2.sizes() == at::IntArrayRef({w1.size(0), w1.size(2), w1.size(1)}),
                    "routed_experts: expected x and base [T, D], scores and choices [T, K], w1 and w3 [E, F, D], w2 "
                    "[E, D, F], found ", to_string(x.sizes()), ", ", to_string(base.sizes()), ", ",
                    to_string(scores.sizes()), ", ", to_string(choices.sizes()), ", ", to_string(w1.sizes()), ", ",
                    to_string(w3.sizes()), ", ", to_string(w2.sizes()));
  // Without products of bfloat16, or with sizes that are no whole pairs of them, in float32.
  bool const narrow = x.scalar_type() == bfloat16 && !widens(x) && x.size(1) % 2 == 0 && w1.size(1) % 2 == 0 &&
                      detail::has_block_products<at::BFloat16>();
  if (!in_fp8 && fusible(x, base, scores, w1, w2, w3) && scores.scalar_type() == float32 && w1.numel() > 0 &&
      detail::has_block_products<float>()) {
    auto const to = dispatch(choices, w1.size(0));
    auto const run = [&]<class T>(T) {
      return detail::RoutedExpertsFunction<T>::apply(x.contiguous(), base.contiguous(), scores.contiguous(), w1.contiguous(),
                                                     w2.contiguous(), w3.contiguous(), to.slot_of_row, to.row_of_slot, to.ends,
                                                     settings.before);
    };
    return narrow ? run(at::BFloat16()) : run(float());
  }
  // Where the host has the counts a loop needs no alignment; a device is not made to wait for them.
  bool const aligned = !in_fp8 && !x.device().is_cpu() && suits_grouped_mm(x, w1);
  return detail::routed_experts_by_groups(x, base, scores, choices, weights, settings, aligned);
}

#endif

}  // namespace lierne::kernel
