// SPDX-License-Identifier: Apache-2.0
// Products with weights, in the arithmetic that the processor has for them.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>

#include "lierne/core/error.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// Whether a product of such tensors is faster in float32 arithmetic: bfloat16 on a CPU without bfloat16 instructions,
/// where LibTorch's own product runs at a tenth of the float32 rate and less (docs/performance.md).
bool widens(Tensor const& t);

/// y = x Wᵀ. Shapes: x [..., in], weight [out, in] → [..., out]. Errors: `ShapeError`.
/// Numerics: in the tensors' dtype through ATen, large products of float32 on some processors through oneDNN, in another
/// order of sums; bfloat16 on a CPU without bfloat16 instructions in float32 arithmetic, with one rounding of each result.
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

namespace detail {

using OneDnnLinear = Tensor(Tensor const&, Tensor const&, std::optional<Tensor> const&, c10::string_view,
                            c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);

/// LibTorch's operator of x Wᵀ by oneDNN, where it was built with it.
inline std::optional<c10::TypedOperatorHandle<OneDnnLinear>> const& onednn_linear() {
  static auto const found = [] {
    auto const name = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    return name ? std::optional(name->typed<OneDnnLinear>()) : std::nullopt;
  }();
  return found;
}

/// Whether oneDNN multiplies two such matrices faster than the BLAS inside LibTorch: float32 on a processor of AMD with
/// AVX-512, for which MKL has kernels of AVX2 alone. Small products are not worth its way in.
inline bool suits_onednn(Tensor const& a, Tensor const& b) {
#if defined(__x86_64__)
  static bool const here = __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512f") && at::hasMKL() &&
                           at::globalContext().userEnabledMkldnn() && onednn_linear().has_value();
  auto const dense = [](Tensor const& t) { return t.is_contiguous() || t.t().is_contiguous(); };
  return here && a.device().is_cpu() && a.scalar_type() == float32 && b.scalar_type() == float32 && a.is_contiguous() && dense(b) &&
         a.size(0) * a.size(1) * b.size(1) >= std::int64_t{1} << 24;
#else
  static_cast<void>(a), static_cast<void>(b);
  return false;
#endif
}

/// a b, of matrices.
inline Tensor matrix_product(Tensor const& a, Tensor const& b) {
  if (!suits_onednn(a, b)) return at::mm(a, b);
  return onednn_linear()->call(a, b.t(), std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

/// The same into a tensor that is there.
inline void matrix_product_to(Tensor& out, Tensor const& a, Tensor const& b) {
  if (suits_onednn(a, b)) {
    out.copy_(matrix_product(a, b));
  } else {
    at::mm_out(out, a, b);
  }
}

/// x Wᵀ of matrices, in the arithmetic of `work`.
struct LinearFunction : Function<LinearFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& weight, Dtype work) {
    context->save_for_backward({x, weight});
    context->saved_data["work"] = static_cast<std::int64_t>(work);
    return matrix_product(x.to(work), weight.detach().to(work).t()).to(x.scalar_type());
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const x = saved[0].detach(), weight = saved[1].detach();
    auto const type = x.scalar_type(), work = static_cast<Dtype>(context->saved_data["work"].toInt());
    auto const upstream = gradients[0].to(work).contiguous();
    TensorList result(3);
    if (context->needs_input_grad(0)) result[0] = matrix_product(upstream, weight.to(work)).to(type);
    if (context->needs_input_grad(1)) result[1] = at::mm(upstream.t(), x.to(work)).to(type);
    return result;
  }
};

}  // namespace detail

LIERNE_INLINE Tensor linear(Tensor const& x, Tensor const& weight) {
  check<ShapeError>(weight.dim() == 2 && x.dim() > 0 && x.size(-1) == weight.size(1) && x.scalar_type() == weight.scalar_type(),
                    "linear: expected x [..., in] and a weight [out, in] of one dtype, found ", to_string(x.sizes()), " of ",
                    at::toString(x.scalar_type()), " and ", to_string(weight.sizes()), " of ",
                    at::toString(weight.scalar_type()));
  auto const rows = x.reshape({-1, x.size(-1)});
  bool const wide = widens(x);
  if (!wide && !detail::suits_onednn(rows, weight.t())) return at::linear(x, weight);
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return detail::LinearFunction::apply(rows, weight, wide ? float32 : x.scalar_type()).view(shape);
}

#endif

}  // namespace lierne::kernel
