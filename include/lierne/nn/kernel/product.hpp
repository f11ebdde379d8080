// SPDX-License-Identifier: Apache-2.0
// Products with weights, in the arithmetic that the processor has for them.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// Whether a product of such tensors is faster in float32 arithmetic: bfloat16 on a CPU without bfloat16 instructions,
/// where LibTorch's own product runs at a tenth of the float32 rate and less (docs/performance.md).
bool widens(Tensor const& t);

/// Whether the processor multiplies tiles of bfloat16 in registers of their own (AMX).
bool has_tile_products();

/// y = x Wᵀ. Shapes: x [..., in], weight [out, in] → [..., out]. Errors: `ShapeError`.
/// Numerics: in the tensors' dtype through ATen; bfloat16 on a CPU without bfloat16 instructions in float32 arithmetic,
/// with one rounding of each result.
Tensor linear(Tensor const& x, Tensor const& weight);

#if LIERNE_BODIES

LIERNE_INLINE bool widens(Tensor const& t) {
#if defined(__x86_64__)
  static bool const native = __builtin_cpu_supports("avx512bf16");  // processors with AMX have it too
  return !native && t.device().is_cpu() && t.scalar_type() == bfloat16;
#else
  static_cast<void>(t);
  return false;
#endif
}

LIERNE_INLINE bool has_tile_products() {
#if defined(__x86_64__)
  static bool const tiles = __builtin_cpu_supports("amx-bf16");
  return tiles;
#else
  return false;
#endif
}

namespace detail {

struct WideLinearFunction : Function<WideLinearFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& weight) {
    context->save_for_backward({x, weight});
    return at::mm(x.to(float32), weight.to(float32).t()).to(bfloat16);
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const upstream = gradients[0].to(float32);
    TensorList result(2);
    if (context->needs_input_grad(0)) result[0] = at::mm(upstream, saved[1].to(float32)).to(bfloat16);
    if (context->needs_input_grad(1)) result[1] = at::mm(upstream.t(), saved[0].to(float32)).to(bfloat16);
    return result;
  }
};

}  // namespace detail

LIERNE_INLINE Tensor linear(Tensor const& x, Tensor const& weight) {
  check<ShapeError>(weight.dim() == 2 && x.dim() > 0 && x.size(-1) == weight.size(1) && x.scalar_type() == weight.scalar_type(),
                    "linear: expected x [..., in] and a weight [out, in] of one dtype, found ", to_string(x.sizes()), " of ",
                    at::toString(x.scalar_type()), " and ", to_string(weight.sizes()), " of ",
                    at::toString(weight.scalar_type()));
  if (!widens(x)) return at::linear(x, weight);
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return detail::WideLinearFunction::apply(x.reshape({-1, x.size(-1)}), weight).view(shape);
}

#endif

}  // namespace lierne::kernel
