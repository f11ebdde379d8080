// SPDX-License-Identifier: Apache-2.0
// The output product and its cross entropy together, a few rows at a time: the logits of a batch never exist at once.
#pragma once

#include "lierne/nn/kernel/cross_entropy.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/nn/kernel/product.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// factor · cross_entropy_sum(hidden weightᵀ, labels) with its gradients, made in the forward pass.
///
/// Shapes: hidden [..., D], weight [V, D], labels [...] of int64 → scalar of float32 (float64 for float64).
/// Units: nats. Errors: `ShapeError`; `ArgumentError` for a label outside [0, V) that is not ignored.
/// Numerics: as `linear` and `cross_entropy_sum`; the weight's gradient is summed over rows in float32 and rounded
/// once. The gradients are ready when the backward's own gradient is 1, so pass a factor instead of multiplying after.
/// Memory: 8 MiB of logits instead of [..., V]; saves both gradients.
Tensor linear_cross_entropy(Tensor const& hidden, Tensor const& weight, Tensor const& labels, double factor = 1,
                            CrossEntropyOptions const& options = {});

#if LIERNE_BODIES

namespace detail {

/// How many rows of logits to hold at once: 8 MiB of float32, which stay in the cache, yet enough for a fast product.
inline std::int64_t logit_rows(std::int64_t classes) { return std::max<std::int64_t>(256, (std::int64_t{1} << 21) / classes); }

struct LinearCrossEntropyFunction : Function<LinearCrossEntropyFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& hidden, Tensor const& weight, Tensor const& labels,
                        double factor, bool wanted, CrossEntropyOptions const& options) {
    auto const rows = hidden.size(0), classes = weight.size(0);
    auto const chunk = std::min(rows, logit_rows(classes));
    // In bfloat16 with its own instructions the products stay in it; else they are float32, from the rounded values.
    auto const work = widens(hidden) ? float32 : hidden.scalar_type();
    auto const w = weight.to(work);
    auto const losses = at::empty({rows}, hidden.options().dtype(float32));
    auto const logits = at::empty({chunk, classes}, hidden.options().dtype(work));
    auto const hidden_gradient = wanted ? at::empty(hidden.sizes(), hidden.options().dtype(work)) : Tensor{};
    auto const weight_gradient = wanted ? at::empty(weight.sizes(), weight.options().dtype(float32)) : Tensor{};
    for (std::int64_t begin = 0; begin < rows; begin += chunk) {
      auto const count = std::min(chunk, rows - begin);
      auto const h = hidden.narrow(0, begin, count).to(work);
      auto z = logits.narrow(0, 0, count);
      matrix_product_to(z, h, w.t());
      cross_entropy_rows(z, labels.narrow(0, begin, count), losses.narrow(0, begin, count), wanted ? z : Tensor{},
                         static_cast<float>(factor), options);
      if (!wanted) continue;
      auto dh = hidden_gradient.narrow(0, begin, count);
      matrix_product_to(dh, z, w);
      auto dw = weight_gradient;
      if (work != float32) {
        auto const part = at::mm(z.t(), h);
        begin == 0 ? dw.copy_(part) : dw.add_(part);
      } else {
        at::addmm_out(dw, dw, z.t(), h, begin == 0 ? 0 : 1);
      }
    }
    if (wanted) context->save_for_backward({hidden_gradient, weight_gradient});
    context->saved_data["to"] = static_cast<std::int64_t>(hidden.scalar_type());
    return at::scalar_tensor(ordered_sum(losses) * factor, losses.options());
  }

  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const upstream = gradients[0].item<double>();
    auto const to = static_cast<Dtype>(context->saved_data["to"].toInt());
    auto const scaled = [&](Tensor const& t) { return (upstream == 1 ? t : t * upstream).to(to); };
    return {scaled(saved[0]), scaled(saved[1]), {}, {}, {}, {}};
  }
};

}  // namespace detail

LIERNE_INLINE Tensor linear_cross_entropy(Tensor const& hidden, Tensor const& weight, Tensor const& labels, double factor,
                                          CrossEntropyOptions const& options) {
  check<ShapeError>(weight.dim() == 2 && hidden.dim() > 0 && hidden.size(-1) == weight.size(1) &&
                        labels.numel() * weight.size(1) == hidden.numel() && hidden.scalar_type() == weight.scalar_type(),
                    "linear_cross_entropy: expected hidden [..., D], weight [V, D] of its dtype and labels [...], found ",
                    to_string(hidden.sizes()), " of ", at::toString(hidden.scalar_type()), ", ", to_string(weight.sizes()),
                    " of ", at::toString(weight.scalar_type()), " and ", to_string(labels.sizes()));
  if (!fusible(hidden, weight) || !labels.device().is_cpu()) {
    return cross_entropy_sum(at::linear(hidden, weight), labels, options) * factor;
  }
  auto const rows = hidden.reshape({-1, hidden.size(-1)}).contiguous();
  auto const flat = labels.reshape({-1}).contiguous();
  detail::check_labels("linear_cross_entropy", flat, rows.size(0), weight.size(0), options.ignored);
  bool const wanted = at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return detail::LinearCrossEntropyFunction::apply(rows, weight.contiguous(), flat, factor, wanted, options);
}

#endif

}  // namespace lierne::kernel
