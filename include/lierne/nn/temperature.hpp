// SPDX-License-Identifier: Apache-2.0
// Queries that grow with their position.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/spec/attention.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// q times 1 + scale · ln(1 + ⌊(t + 1) / floor⌋) at position t. Shapes: q [B, L, N, H] → the same.
/// Numerics: factors from float64, one rounding of the product. Sequences shorter than `floor` have no factor but 1.
Tensor tempered(Tensor const& q_BLNH, QueryTemperature const& temperature);

#if LIERNE_BODIES
LIERNE_INLINE Tensor tempered(Tensor const& q_BLNH, QueryTemperature const& temperature) {
  auto const length = q_BLNH.size(1);
  if (length < temperature.floor) return q_BLNH;
  auto const position = at::arange(1, length + 1, q_BLNH.options().dtype(int64));
  auto const steps = at::floor_divide(position, temperature.floor).to(float64);
  auto const wide = q_BLNH.scalar_type() == float64 ? float64 : float32;
  auto const factor = (1 + temperature.scale * at::log1p(steps)).to(wide).view({length, 1, 1});
  return (q_BLNH * factor).to(q_BLNH.scalar_type());
}
#endif

}  // namespace lierne
