// SPDX-License-Identifier: Apache-2.0
// RMS normalisation in one pass, alone or with the addition to the residual stream before it.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// Math: x / √(mean(x²) + ε) ⊙ weight over the last dimension. Shapes: x [..., D], weight [D] → [..., D].
/// Errors: `ShapeError`. Numerics: float32 inside, one rounding to the dtype `to`; float64 and other devices through
/// ATen. Saves x and one number a row. Source: Zhang and Sennrich 2019, arXiv:1910.07467.
Tensor rms_norm(Tensor const& x, Tensor const& weight, double epsilon, Dtype to);

/// The residual stream after an addition, and its norm.
struct AddedNorm {
  Tensor sum;
  Tensor normed;
};

/// sum = stream + delta, normed = rms_norm(sum), in one pass forward and one backward.
/// Shapes: stream and delta [..., D], weight [D]. Errors: `ShapeError`. Numerics: the sum has the stream's dtype; the
/// rest as `rms_norm`.
AddedNorm add_rms_norm(Tensor const& stream, Tensor const& delta, Tensor const& weight, double epsilon, Dtype to);

#if LIERNE_BODIES

namespace detail {

// Partial sums of the weight's gradient are over this many rows each, whatever the number of threads.
inline constexpr std::int64_t norm_rows = 32;

/// Normalises `stream`, after adding `delta` to it where that is defined. Returns {normed, scale, sum}: `scale` is
/// 1 / √(mean(x²) + ε) of each row; `sum` is undefined without a delta.
inline std::tuple<Tensor, Tensor, Tensor> rms_norm_rows(Tensor const& stream, Tensor const& delta, Tensor const& weight,
                                                        double epsilon, Dtype to) {
  auto const width = weight.numel(), rows = stream.numel() / width;
  auto const normed = at::empty(stream.sizes(), stream.options().dtype(to));
  auto const scale = at::empty({rows}, stream.options().dtype(float32));
  auto const sum = delta.defined() ? at::empty_like(stream) : Tensor{};
  Source const x_of(stream), d_of(delta.defined() ? delta : stream), w_of(weight);
  Sink const y_of(normed), s_of(delta.defined() ? sum : normed);
  Source const read_of(delta.defined() ? sum : stream);
  bool const adds = delta.defined();
  auto* scales = scale.mutable_data_ptr<float>();
  auto const eps = static_cast<float>(epsilon);
  parallel_vectors(rows, 16, [=](auto begin, auto end) __attribute__((always_inline)) {
    std::vector<float> buffer(static_cast<std::size_t>(5 * width));
    auto* const b = buffer.data();
    auto const* w = w_of.tile(0, width, b);
    for (auto row = begin; row < end; ++row) {
      auto const at = row * width;
      auto const* x = x_of.tile(at, width, b + width);
      if (adds) {
        auto const* d = d_of.tile(at, width, b + 2 * width);
        auto* s = s_of.tile(at, b + 3 * width);
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) s[i] = x[i] + d[i];
        s_of.store(at, width, s);
        // What is normalised is the stream as the next layer reads it, rounded.
        x = read_of.tile(at, width, b + 3 * width);
      }
      float const square = lane_sum(width, [=](std::int64_t i) __attribute__((always_inline)) { return x[i] * x[i]; });
      float const r = 1.0F / std::sqrt(square / static_cast<float>(width) + eps);
      scales[row] = r;
      auto* y = y_of.tile(at, b + 4 * width);
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) y[i] = x[i] * r * w[i];
      y_of.store(at, width, y);
    }
  });
  return {normed, scale, sum};
}

/// Gradients of the normalised rows and the weight. `through`, where defined, is added to the rows' gradient: what
/// reaches the same rows past the norm.
inline std::tuple<Tensor, Tensor> rms_norm_rows_backward(Tensor const& upstream, Tensor const& through, Tensor const& rows_in,
                                                         Tensor const& scale, Tensor const& weight) {
  auto const width = weight.numel(), rows = scale.numel();
  auto const blocks = (rows + norm_rows - 1) / norm_rows;
  auto const gradient = at::empty_like(rows_in);
  auto const partial = at::empty({blocks, width}, scale.options());
  auto const weight_gradient = at::empty_like(weight);
  bool const adds = through.defined();
  Source const dy_of(upstream), t_of(adds ? through : upstream), x_of(rows_in), w_of(weight);
  Sink const dx_of(gradient), dw_of(weight_gradient);
  auto const* scales = scale.const_data_ptr<float>();
  auto* partials = partial.mutable_data_ptr<float>();
  parallel_vectors(blocks, 1, [=](auto begin, auto end) __attribute__((always_inline)) {
    std::vector<float> buffer(static_cast<std::size_t>(5 * width));
    auto* const b = buffer.data();
    auto const* w = w_of.tile(0, width, b);
    for (auto block = begin; block < end; ++block) {
      auto* dw = partials + block * width;
      for (std::int64_t i = 0; i < width; ++i) dw[i] = 0.0F;
      for (auto row = block * norm_rows; row < std::min(rows, (block + 1) * norm_rows); ++row) {
        auto const at = row * width;
        auto const *x = x_of.tile(at, width, b + width), *dy = dy_of.tile(at, width, b + 2 * width);
        auto* dx = dx_of.tile(at, b + 4 * width);
        float const r = scales[row];
        float const along = lane_sum(width, [=](std::int64_t i) __attribute__((always_inline)) { return dy[i] * w[i] * x[i]; });
        float const back = along / static_cast<float>(width) * r * r * r;
        if (adds) {
          auto const* t = t_of.tile(at, width, b + 3 * width);
#pragma omp simd
          for (std::int64_t i = 0; i < width; ++i) dx[i] = dy[i] * w[i] * r - x[i] * back + t[i];
        } else {
#pragma omp simd
          for (std::int64_t i = 0; i < width; ++i) dx[i] = dy[i] * w[i] * r - x[i] * back;
        }
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) dw[i] += dy[i] * (x[i] * r);
        dx_of.store(at, width, dx);
      }
    }
  });
  with_vectors([=]() __attribute__((always_inline)) {
    std::vector<float> buffer(static_cast<std::size_t>(width));
    auto* total = dw_of.tile(0, buffer.data());
    for (std::int64_t i = 0; i < width; ++i) total[i] = 0.0F;
    for (std::int64_t block = 0; block < blocks; ++block) {
      auto const* dw = partials + block * width;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) total[i] += dw[i];
    }
    dw_of.store(0, width, total);
  });
  return {gradient, weight_gradient};
}

struct RmsNormFunction : Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& weight, double epsilon, Dtype to) {
    auto const [normed, scale, sum] = rms_norm_rows(x, {}, weight, epsilon, to);
    context->save_for_backward({x, weight, scale});
    return normed;
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const [dx, dw] = rms_norm_rows_backward(gradients[0].contiguous(), {}, saved[0], saved[2], saved[1]);
    return {dx, dw, {}, {}};
  }
};

struct AddRmsNormFunction : Function<AddRmsNormFunction> {
  static TensorList forward(AutogradContext* context, Tensor const& stream, Tensor const& delta, Tensor const& weight,
                            double epsilon, Dtype to) {
    auto const [normed, scale, sum] = rms_norm_rows(stream, delta, weight, epsilon, to);
    context->save_for_backward({sum, weight, scale});
    context->saved_data["delta"] = static_cast<std::int64_t>(delta.scalar_type());
    return {sum, normed};
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const to = static_cast<Dtype>(context->saved_data["delta"].toInt());
    auto const [dx, dw] =
        rms_norm_rows_backward(gradients[1].contiguous(), gradients[0].contiguous(), saved[0], saved[2], saved[1]);
    return {dx, dx.to(to), dw, {}, {}};
  }
};

inline Tensor plain_rms_norm(Tensor const& x, Tensor const& weight, double epsilon, Dtype to) {
  auto const wide = x.scalar_type() == float64 ? float64 : float32;
  return at::rms_norm(x.to(wide), {weight.numel()}, weight.to(wide), epsilon).to(to);
}
inline void check_norm(char const* what, Tensor const& x, Tensor const& weight) {
  check<ShapeError>(weight.dim() == 1 && x.dim() > 0 && x.size(-1) == weight.size(0), what,
                    ": expected a weight as long as the last dimension of x, found x ", to_string(x.sizes()), " and weight ",
                    to_string(weight.sizes()));
}

}  // namespace detail

LIERNE_INLINE Tensor rms_norm(Tensor const& x, Tensor const& weight, double epsilon, Dtype to) {
  detail::check_norm("rms_norm", x, weight);
  if (!fusible(x, weight) || (to != float32 && to != bfloat16)) return detail::plain_rms_norm(x, weight, epsilon, to);
  return detail::RmsNormFunction::apply(x.contiguous(), weight.contiguous(), epsilon, to);
}

LIERNE_INLINE AddedNorm add_rms_norm(Tensor const& stream, Tensor const& delta, Tensor const& weight, double epsilon,
                                    Dtype to) {
  detail::check_norm("add_rms_norm", stream, weight);
  check<ShapeError>(stream.sizes() == delta.sizes(), "add_rms_norm: expected stream and delta of one shape, found ",
                    to_string(stream.sizes()), " and ", to_string(delta.sizes()));
  if (!fusible(stream, delta, weight) || (to != float32 && to != bfloat16)) {
    auto const sum = (stream + delta).to(stream.scalar_type());
    return {sum, detail::plain_rms_norm(sum, weight, epsilon, to)};
  }
  auto const both = detail::AddRmsNormFunction::apply(stream.contiguous(), delta.contiguous(), weight.contiguous(), epsilon, to);
  return {both[0], both[1]};
}

#endif

}  // namespace lierne::kernel
