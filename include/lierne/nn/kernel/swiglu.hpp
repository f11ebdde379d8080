// SPDX-License-Identifier: Apache-2.0
// The gated activation in one pass, and its gradient in one pass.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <array>

#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// silu(gate) ⊙ up. Math: y = g / (1 + e^-g) · u. Shapes: gate and up of one shape and dtype; y likewise.
/// Errors: `ShapeError` naming both. Numerics: float32 inside for float32 and bfloat16, one rounding; other dtypes and
/// devices through ATen. Saves gate and up for the backward.
Tensor swiglu(Tensor const& gate, Tensor const& up);

#if LIERNE_BODIES

namespace detail {

struct SwiGluFunction : Function<SwiGluFunction> {
  static constexpr std::int64_t tile = 1024;
  using Buffer = std::array<float, tile>;

  static Tensor forward(AutogradContext* context, Tensor const& gate, Tensor const& up) {
    context->save_for_backward({gate, up});
    auto const out = at::empty_like(gate);
    Source const g_of(gate), u_of(up);
    Sink const y_of(out);
    auto const count = gate.numel();
    parallel_vectors((count + tile - 1) / tile, 16, [=](auto begin, auto end) __attribute__((always_inline)) {
      alignas(64) Buffer g_buffer, u_buffer, y_buffer;
      Exponential const exponential;
      for (auto t = begin; t < end; ++t) {
        auto const at = t * tile, n = std::min(tile, count - at);
        auto const *g = g_of.tile(at, n, g_buffer.data()), *u = u_of.tile(at, n, u_buffer.data());
        auto* y = y_of.tile(at, y_buffer.data());
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) y[i] = g[i] / (1.0F + exponential(-g[i])) * u[i];
        y_of.store(at, n, y);
      }
    });
    return out;
  }

  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const& gate = saved[0];
    auto const upstream = gradients[0].contiguous();
    auto const gate_gradient = at::empty_like(gate), up_gradient = at::empty_like(gate);
    Source const g_of(gate), u_of(saved[1]), dy_of(upstream);
    Sink const dg_of(gate_gradient), du_of(up_gradient);
    auto const count = gate.numel();
    parallel_vectors((count + tile - 1) / tile, 8, [=](auto begin, auto end) __attribute__((always_inline)) {
      alignas(64) Buffer g_buffer, u_buffer, dy_buffer, dg_buffer, du_buffer;
      Exponential const exponential;
      for (auto t = begin; t < end; ++t) {
        auto const at = t * tile, n = std::min(tile, count - at);
        auto const *g = g_of.tile(at, n, g_buffer.data()), *u = u_of.tile(at, n, u_buffer.data());
        auto const* dy = dy_of.tile(at, n, dy_buffer.data());
        auto *dg = dg_of.tile(at, dg_buffer.data()), *du = du_of.tile(at, du_buffer.data());
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) {
          float const sigmoid = 1.0F / (1.0F + exponential(-g[i]));
          float const silu = g[i] * sigmoid;
          du[i] = dy[i] * silu;
          dg[i] = dy[i] * u[i] * (sigmoid + silu * (1.0F - sigmoid));
        }
        dg_of.store(at, n, dg);
        du_of.store(at, n, du);
      }
    });
    return {gate_gradient, up_gradient};
  }
};

}  // namespace detail

LIERNE_INLINE Tensor swiglu(Tensor const& gate, Tensor const& up) {
  check<ShapeError>(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(),
                    "swiglu: expected gate and up alike, found ", to_string(gate.sizes()), " of ",
                    at::toString(gate.scalar_type()), " and ", to_string(up.sizes()), " of ",
                    at::toString(up.scalar_type()));
  if (!fusible(gate, up)) return at::silu(gate) * up;
  return detail::SwiGluFunction::apply(gate.contiguous(), up.contiguous());
}

#endif

}  // namespace lierne::kernel
