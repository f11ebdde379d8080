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
#endif

namespace lierne::kernel {

/// The sum of -log softmax(logits)[label] over the positions whose label is not `ignored`.
/// Shapes: logits [..., V], labels [...] of int64 → scalar of float32 (float64 for float64). Units: nats.
/// Errors: `ShapeError`; `ArgumentError` for a label outside [0, V). Numerics: float32 inside, the sum of rows in
/// float64; the gradient is rounded once to the logits' dtype. float64 and other devices through ATen.
/// Saves the logits.
Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels, std::int64_t ignored = -100);

#if LIERNE_BODIES

namespace detail {

/// Writes -log softmax(logits)[label] of each row to `losses`, 0 for the label `ignored`; where `gradient` is defined
/// also factor · (softmax(logits) - onehot(label)), which may share its memory with the logits.
/// Shapes: logits and gradient [T, V], labels and losses [T], all contiguous.
inline void cross_entropy_rows(Tensor const& logits, Tensor const& labels, Tensor const& losses, Tensor const& gradient,
                               float factor, std::int64_t ignored) {
  auto const rows = logits.size(0), classes = logits.size(1);
  bool const wanted = gradient.defined();
  Source const z_of(logits);
  Sink const g_of(wanted ? gradient : logits);
  auto const* label_of = labels.const_data_ptr<std::int64_t>();
  auto* loss_of = losses.mutable_data_ptr<float>();
  parallel_vectors(rows, 4, [=](auto begin, auto end) __attribute__((always_inline)) {
    std::vector<float> buffer(static_cast<std::size_t>(2 * classes));
    auto *in_buffer = buffer.data(), *out_buffer = in_buffer + classes;
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
      float const top = lane_fold(
          classes, z[0], [=](std::int64_t i) __attribute__((always_inline)) { return z[i]; },
          [](float a, float b) __attribute__((always_inline)) { return a < b ? b : a; });
      float const chosen = z[label];
      float const sum = lane_sum(classes, [=](std::int64_t i) __attribute__((always_inline)) {
        float const e = exponential(z[i] - top);
        g[i] = e;
        return e;
      });
      loss_of[row] = std::log(sum) - (chosen - top);
      if (!wanted) continue;
      float const scale = factor / sum;
#pragma omp simd
      for (std::int64_t i = 0; i < classes; ++i) g[i] *= scale;
      g[label] -= factor;
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

struct CrossEntropyFunction : Function<CrossEntropyFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& logits, Tensor const& labels, std::int64_t ignored) {
    context->save_for_backward({logits, labels});
    context->saved_data["ignored"] = ignored;
    auto const losses = at::empty({logits.size(0)}, logits.options().dtype(float32));
    cross_entropy_rows(logits, labels, losses, {}, 0.0F, ignored);
    return at::scalar_tensor(ordered_sum(losses), losses.options());
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const gradient = at::empty_like(saved[0]);
    auto const losses = at::empty({gradient.size(0)}, gradient.options().dtype(float32));
    cross_entropy_rows(saved[0], saved[1], losses, gradient, gradients[0].item<float>(),
                       context->saved_data["ignored"].toInt());
    return {gradient, {}, {}};
  }
};

}  // namespace detail

LIERNE_INLINE Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels, std::int64_t ignored) {
  check<ShapeError>(logits.dim() > 0 && labels.numel() * logits.size(-1) == logits.numel(),
                    "cross_entropy_sum: expected logits [..., V] and labels [...], found ", to_string(logits.sizes()), " and ",
                    to_string(labels.sizes()));
  if (!fusible(logits) || !labels.device().is_cpu()) {
    auto const wide = logits.scalar_type() == float64 ? logits : logits.to(float32);
    return at::cross_entropy_loss(wide.flatten(0, -2), labels.flatten(), {}, at::Reduction::Sum, ignored);
  }
  auto const rows = logits.reshape({-1, logits.size(-1)}).contiguous();
  auto const flat = labels.reshape({-1}).contiguous();
  detail::check_labels("cross_entropy_sum", flat, rows.size(0), rows.size(1), ignored);
  return detail::CrossEntropyFunction::apply(rows, flat, ignored);
}

#endif

}  // namespace lierne::kernel
