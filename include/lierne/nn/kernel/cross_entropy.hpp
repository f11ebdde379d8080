// SPDX-License-Identifier: Apache-2.0
// Cross entropy of logits: a pass for the value, and one for the gradient that needs no saved probabilities.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// How a cross entropy is made. With a soft cap c every logit y is c·tanh(y/c); with a z-loss its factor times the
/// square of the log of the sum of exponentials is added.
struct CrossEntropyOptions {
  std::int64_t ignored = -100;  ///< the label of positions that count for nothing
  double z = 0;
  double soft_cap = 0;          ///< 0: none
};

/// The sum over the positions whose label is not ignored of -log softmax(logits)[label], and of the z-loss.
/// Shapes: logits [..., V], labels [...] of int64 → scalar of float32 (float64 for float64). Units: nats.
/// Errors: `ShapeError`; `ArgumentError` for a label outside [0, V). Numerics: float32 inside, the sum of rows in
/// float64; the gradient is rounded once to the logits' dtype. float64 and other devices through ATen.
/// Saves the logits.
Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels, CrossEntropyOptions const& options = {});

#if LIERNE_BODIES

namespace detail {

/// c·tanh(x/c) in place. Returns nothing else: the derivative at x is 1 - (result/c)².
[[gnu::always_inline]] inline void cap_row(float* x, std::int64_t count, float cap, Exponential const& exponential) {
  float const inverse = 1.0F / cap;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    float const u = x[i] * inverse, square = u * u;
    // Near 0 the quotient below cancels; there the series of tanh has error below 1e-8.
    float series = 62.0F / 2835.0F;
    series = series * square - 17.0F / 315.0F;
    series = series * square + 2.0F / 15.0F;
    series = series * square - 1.0F / 3.0F;
    series = u + u * square * series;
    float const quotient = 1.0F - 2.0F / (exponential(2.0F * u) + 1.0F);
    x[i] = cap * (square < 0.0625F ? series : quotient);
  }
}

/// Writes the loss of each row to `losses`, 0 for the ignored label; where `gradient` is defined also factor times its
/// gradient, which may share its memory with the logits: softmax(logits) - onehot(label) without the options.
/// Shapes: logits and gradient [T, V], labels and losses [T], all contiguous.
inline void cross_entropy_rows(Tensor const& logits, Tensor const& labels, Tensor const& losses, Tensor const& gradient,
                               float factor, CrossEntropyOptions const& options) {
  auto const rows = logits.size(0), classes = logits.size(1);
  bool const wanted = gradient.defined();
  Source const z_of(logits);
  Sink const g_of(wanted ? gradient : logits);
  auto const* label_of = labels.const_data_ptr<std::int64_t>();
  auto* loss_of = losses.mutable_data_ptr<float>();
  auto const ignored = options.ignored;
  float const z_factor = static_cast<float>(options.z), cap = static_cast<float>(options.soft_cap);
  parallel_vectors(rows, 4, [=](auto begin, auto end) __attribute__((always_inline)) {
    std::vector<float> buffer(static_cast<std::size_t>((cap == 0.0F ? 2 : 3) * classes));
    auto *in_buffer = buffer.data(), *out_buffer = in_buffer + classes, *capped = out_buffer + classes;
    Exponential const exponential;
    for (auto row = begin; row < end; ++row) {
      auto const at = row * classes;
      auto const label = label_of[row];
      bool const counts = label != ignored;
      loss_of[row] = 0.0F;
      if (!counts && !wanted) continue;
      auto* g = wanted ? g_of.tile(at, out_buffer) : out_buffer;
      if (!counts) {
#pragma omp simd
        for (std::int64_t i = 0; i < classes; ++i) g[i] = 0.0F;
        g_of.store(at, classes, g);
        continue;
      }
      auto const* z = z_of.tile(at, classes, in_buffer);
      if (cap != 0.0F) {
        std::copy_n(z, classes, capped);
        cap_row(capped, classes, cap, exponential);
        z = capped;
      }
      float const top = lane_fold(
          classes, z[0], [=](std::int64_t i) __attribute__((always_inline)) { return z[i]; },
          [](float a, float b) __attribute__((always_inline)) { return a < b ? b : a; });
      float const chosen = z[label];
      float const sum = lane_sum(classes, [=](std::int64_t i) __attribute__((always_inline)) {
        float const e = exponential(z[i] - top);
        g[i] = e;
        return e;
      });
      float const log_sum = std::log(sum);
      loss_of[row] = log_sum - (chosen - top);
      float const whole = top + log_sum;
      if (z_factor != 0.0F) loss_of[row] += z_factor * whole * whole;
      if (!wanted) continue;
      float const scale = factor / sum * (1.0F + 2.0F * z_factor * whole);
#pragma omp simd
      for (std::int64_t i = 0; i < classes; ++i) g[i] *= scale;
      g[label] -= factor;
      if (cap != 0.0F) {
        float const inverse = 1.0F / cap;
#pragma omp simd
        for (std::int64_t i = 0; i < classes; ++i) g[i] *= 1.0F - (z[i] * inverse) * (z[i] * inverse);
      }
      g_of.store(at, classes, g);
    }
  });
}

/// The sum of losses, in order and in float64, so that it depends on no number of threads.
inline double ordered_sum(Tensor const& losses) {
  auto const* loss = losses.const_data_ptr<float>();
  double sum = 0;
  for (std::int64_t row = 0; row < losses.numel(); ++row) sum += static_cast<double>(loss[row]);
  return sum;
}

inline void check_labels(char const* what, Tensor const& labels, std::int64_t rows, std::int64_t classes, std::int64_t ignored) {
  check<ShapeError>(labels.scalar_type() == int64 && labels.numel() == rows, what, ": expected ", rows,
                    " labels of int64, found ", labels.numel(), " of ", at::toString(labels.scalar_type()));
  auto const* label = labels.const_data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < rows; ++row) {
    check(label[row] == ignored || (label[row] >= 0 && label[row] < classes), what, ": expected labels in [0, ", classes,
          ") or ", ignored, ", found ", label[row], " in row ", row);
  }
}

/// Through ATen, in float32 at least.
inline Tensor plain_cross_entropy(Tensor const& logits, Tensor const& labels, CrossEntropyOptions const& options) {
  auto y = (logits.scalar_type() == float64 ? logits : logits.to(float32)).flatten(0, -2);
  if (options.soft_cap != 0) y = at::tanh(y / options.soft_cap) * options.soft_cap;
  auto const flat = labels.flatten();
  auto const sum = at::cross_entropy_loss(y, flat, {}, at::Reduction::Sum, options.ignored);
  if (options.z == 0) return sum;
  auto const squares = at::logsumexp(y, {1}).square();
  return sum + options.z * at::where(flat != options.ignored, squares, 0).sum();
}

struct CrossEntropyFunction : Function<CrossEntropyFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& logits, Tensor const& labels,
                        CrossEntropyOptions const& options) {
    context->save_for_backward({logits, labels});
    context->saved_data["ignored"] = options.ignored;
    context->saved_data["z"] = options.z;
    context->saved_data["soft_cap"] = options.soft_cap;
    auto const losses = at::empty({logits.size(0)}, logits.options().dtype(float32));
    cross_entropy_rows(logits, labels, losses, {}, 0.0F, options);
    return at::scalar_tensor(ordered_sum(losses), losses.options());
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const gradient = at::empty_like(saved[0]);
    auto const losses = at::empty({gradient.size(0)}, gradient.options().dtype(float32));
    auto& saved_data = context->saved_data;
    CrossEntropyOptions const options{.ignored = saved_data["ignored"].toInt(), .z = saved_data["z"].toDouble(),
                                      .soft_cap = saved_data["soft_cap"].toDouble()};
    cross_entropy_rows(saved[0], saved[1], losses, gradient, gradients[0].item<float>(), options);
    return {gradient, {}, {}};
  }
};

}  // namespace detail

LIERNE_INLINE Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels, CrossEntropyOptions const& options) {
  check<ShapeError>(logits.dim() > 0 && labels.numel() * logits.size(-1) == logits.numel(),
                    "cross_entropy_sum: expected logits [..., V] and labels [...], found ", to_string(logits.sizes()), " and ",
                    to_string(labels.sizes()));
  if (!fusible(logits) || !labels.device().is_cpu()) {
    return detail::plain_cross_entropy(logits, labels, options);
  }
  auto const rows = logits.reshape({-1, logits.size(-1)}).contiguous();
  auto const flat = labels.reshape({-1}).contiguous();
  detail::check_labels("cross_entropy_sum", flat, rows.size(0), rows.size(1), options.ignored);
  return detail::CrossEntropyFunction::apply(rows, flat, options);
}

#endif

}  // namespace lierne::kernel
