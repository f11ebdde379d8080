// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding in one pass.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// Turns the pairs (x[2i], x[2i+1]) of every head by the angles of their position.
/// Shapes: x [B, L, N, d], table [L, d/2, 2] of cosines and sines → [B, L, N, d]. Errors: `ShapeError`.
/// Numerics: float32 inside, one rounding; a float64 table or another device goes through ATen, in the table's dtype.
/// The table takes no gradient.
Tensor rope(Tensor const& x, Tensor const& table);

#if LIERNE_BODIES

namespace detail {

/// Turns by the table's angles, or back by them. Shapes: x [B, L, N, d] contiguous, table [L, d/2, 2].
inline Tensor turn(Tensor const& x, Tensor const& table, bool back) {
  auto const out = at::empty_like(x);
  auto const length = x.size(1), heads = x.size(2), size = x.size(3);
  Source const x_of(x);
  Sink const y_of(out);
  auto const* angles = table.const_data_ptr<float>();
  auto const row = heads * size;
  float const sign = back ? -1.0F : 1.0F;
  parallel_vectors(x.size(0) * length, 32, [=](auto begin, auto end) __attribute__((always_inline)) {
    std::vector<float> buffer(static_cast<std::size_t>(2 * row + 2 * size));
    auto *x_buffer = buffer.data(), *y_buffer = x_buffer + row;
    auto *cosine = y_buffer + row, *sine = cosine + size;
    for (auto position = begin; position < end; ++position) {
      auto const* angle = angles + position % length * size;
      // Each element has its own cosine and signed sine, so that y = x ⊙ cosine + swapped(x) ⊙ sine.
#pragma omp simd
      for (std::int64_t i = 0; i < size / 2; ++i) {
        cosine[2 * i] = angle[2 * i];
        cosine[2 * i + 1] = angle[2 * i];
        sine[2 * i] = -sign * angle[2 * i + 1];
        sine[2 * i + 1] = sign * angle[2 * i + 1];
      }
      auto const at = position * row;
      auto const* from = x_of.tile(at, row, x_buffer);
      auto* to = y_of.tile(at, y_buffer);
      for (std::int64_t head = 0; head < row; head += size) {
#pragma omp simd
        for (std::int64_t i = 0; i < size / 2; ++i) {
          float const even = from[head + 2 * i], odd = from[head + 2 * i + 1];
          to[head + 2 * i] = even * cosine[2 * i] + odd * sine[2 * i];
          to[head + 2 * i + 1] = odd * cosine[2 * i + 1] + even * sine[2 * i + 1];
        }
      }
      y_of.store(at, row, to);
    }
  });
  return out;
}

struct RopeFunction : Function<RopeFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& table) {
    context->save_for_backward({table});
    return turn(x, table, false);
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    return {turn(gradients[0].contiguous(), context->get_saved_variables()[0], true), {}};
  }
};

inline Tensor plain_rope(Tensor const& x, Tensor const& table) {
  auto const pairs = x.to(table.scalar_type()).unflatten(-1, {-1, 2});
  auto const turned = at::view_as_complex(pairs.contiguous()) * at::view_as_complex(table).unsqueeze(1);
  return at::view_as_real(turned).flatten(-2).to(x.scalar_type());
}

}  // namespace detail

LIERNE_INLINE Tensor rope(Tensor const& x, Tensor const& table) {
  check<ShapeError>(x.dim() == 4 && table.dim() == 3 && table.size(0) == x.size(1) && 2 * table.size(1) == x.size(3) &&
                        table.size(2) == 2,
                    "rope: expected x [B, L, N, d] and a table [L, d/2, 2], found ", to_string(x.sizes()), " and ",
                    to_string(table.sizes()));
  if (!fusible(x, table) || table.scalar_type() != float32) return detail::plain_rope(x, table);
  return detail::RopeFunction::apply(x.contiguous(), table.contiguous());
}

#endif

}  // namespace lierne::kernel
