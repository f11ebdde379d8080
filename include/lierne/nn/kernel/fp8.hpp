// SPDX-License-Identifier: Apache-2.0
// Products in eight bits: both factors rounded to a floating-point format of one byte, with one scale a tensor.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// T rows, I inputs, O outputs.

namespace lierne::kernel {

/// A tensor in eight bits. Math: x ≈ codes · inverse.
struct Fp8Tensor {
  Tensor codes;
  Tensor inverse;  ///< one float32: 1 / scale
};

/// The largest finite number of an eight-bit format: 448 for `float8_e4m3`, 57344 for `float8_e5m2`.
double largest(Dtype format);

/// x · scale in `format`. Numerics: the product in float32, rounded to nearest, ties to even; what lies beyond the
/// largest number becomes it, NaN stays NaN.
Tensor to_fp8(Tensor const& x, Tensor const& scale, Dtype format);

/// x in eight bits, by the scale that takes its largest magnitude to the largest number of the format.
/// Math: scale = largest(format) / max(max |x|, 1e-12), in float64, rounded to float32. Errors: `ShapeError` for a
/// format that is none. Numerics: see `to_fp8`; an infinity or NaN in x makes every product with it NaN, none is hidden.
/// Source: torchao's tensorwise recipe with dynamic scales.
Fp8Tensor quantise(Tensor const& x, Dtype format);

/// y = x Wᵀ in eight bits, and its gradients dx = dy W and dW = dyᵀ x.
/// Shapes: x [..., I], weight [O, I] → [..., O]; I and O must be multiples of 16.
/// Errors: `ShapeError`, also for a dtype other than bfloat16 and float32.
/// Numerics: x and W in e4m3, dy in e5m2, each with a scale of its own (see `quantise`); sums in float32, one rounding
/// of each result to the dtype of its factor. Saves x and the weight as they are, and quantises them again backward.
/// Source: Micikevicius et al. 2022, arXiv:2209.05433; through `at::_scaled_mm`, which widens to float32 on the CPU.
Tensor fp8_linear(Tensor const& x, Tensor const& weight);

#if LIERNE_BODIES

LIERNE_INLINE double largest(Dtype format) {
  check<ShapeError>(format == float8_e4m3 || format == float8_e5m2, "quantise: expected float8_e4m3 or float8_e5m2, found ",
                    at::toString(format));
  return format == float8_e4m3 ? 448 : 57344;
}

LIERNE_INLINE Tensor to_fp8(Tensor const& x, Tensor const& scale, Dtype format) {
  double const bound = largest(format);
  return at::clamp(x.to(float32) * scale, -bound, bound).to(format);
}

LIERNE_INLINE Fp8Tensor quantise(Tensor const& x, Dtype format) {
  double const bound = largest(format);
  NoGrad guard;
  if (x.numel() == 0) return {x.to(format), at::ones({}, x.options().dtype(float32))};
  auto const [low, high] = at::aminmax(x);
  auto const magnitude = at::maximum(low.neg(), high).to(float64);
  auto const scale = (bound / magnitude.clamp_min(1e-12)).to(float32);
  return {to_fp8(x, scale, format), scale.reciprocal()};
}

namespace detail {

/// a b in the dtype `to`. The units of a GPU want the inner size a multiple of 16, a in rows and b in columns.
inline Tensor scaled_product(Fp8Tensor const& a, Fp8Tensor const& b, Dtype to, bool fast) {
  if (a.codes.numel() == 0 || b.codes.numel() == 0) {
    return at::zeros({a.codes.size(0), b.codes.size(1)}, a.codes.options().dtype(to));
  }
  auto rows = a.codes, columns = b.codes;
  if (auto const past = rows.size(1) % 16; past != 0) {
    // Zeros add nothing. Through bytes, since padding knows no eight-bit floats.
    auto const padded = [&](Tensor const& t, at::IntArrayRef by) {
      return at::constant_pad_nd(t.view(at::kByte), by).view(t.scalar_type());
    };
    rows = padded(rows.contiguous(), {0, 16 - past});
    columns = padded(columns.contiguous(), {0, 0, 0, 16 - past});
  }
  if (!columns.t().is_contiguous()) columns = columns.t().contiguous().t();
  return at::_scaled_mm(rows.contiguous(), columns, a.inverse, b.inverse, /*bias=*/{}, /*scale_result=*/{}, to, fast);
}

struct Fp8LinearFunction : Function<Fp8LinearFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& weight) {
    context->save_for_backward({x, weight});
    auto const w = quantise(weight, float8_e4m3);
    return scaled_product(quantise(x, float8_e4m3), {w.codes.t(), w.inverse}, x.scalar_type(), /*fast=*/true);
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const &x = saved[0], &weight = saved[1];
    auto const dy = quantise(gradients[0], float8_e5m2);
    TensorList result(2);
    if (context->needs_input_grad(0)) {
      result[0] = scaled_product(dy, quantise(weight, float8_e4m3), x.scalar_type(), /*fast=*/false);
    }
    if (context->needs_input_grad(1)) {
      result[1] = scaled_product({dy.codes.t(), dy.inverse}, quantise(x, float8_e4m3), weight.scalar_type(), /*fast=*/false);
    }
    return result;
  }
};

}  // namespace detail

LIERNE_INLINE Tensor fp8_linear(Tensor const& x, Tensor const& weight) {
  auto const dtype = x.scalar_type();
  check<ShapeError>(weight.dim() == 2 && x.dim() > 0 && x.size(-1) == weight.size(1) && weight.size(0) % 16 == 0 &&
                        weight.size(1) % 16 == 0 && dtype == weight.scalar_type() &&
                        (dtype == bfloat16 || dtype == float32),
                    "fp8_linear: expected x [..., in] and a weight [out, in], multiples of 16, both of bfloat16 or "
                    "float32, found ", to_string(x.sizes()), " of ", at::toString(dtype), " and ",
                    to_string(weight.sizes()), " of ", at::toString(weight.scalar_type()));
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  auto const rows = elements(shape) / weight.size(0);
  return detail::Fp8LinearFunction::apply(x.reshape({rows, x.size(-1)}), weight).view(shape);
}

#endif

}  // namespace lierne::kernel
