// SPDX-License-Identifier: Apache-2.0
// The largest logit of attention, some rows of queries at a time.
#pragma once

#include "lierne/nn/kernel/visible_keys.hpp"

#if LIERNE_BODIES
#include <limits>

#include "lierne/tensor/operations.hpp"
#endif

// B batch, L length, N query heads, K key heads, G = N/K, H head size, R query rows at a time, C the keys they may see.

namespace lierne::kernel {

/// max over batch, heads and visible keys of scale · q · k: the largest number that `attention` takes the exponential of,
/// for a positive scale. Shapes: q [B, L, N, H], k [B, L, K, H] → scalar of float64, on their device. -inf without
/// elements; NaN where a logit is NaN. Errors: `ShapeError`.
/// Numerics: products in float32, of float64 in float64. Holds N · R · L of them at once, about four million.
Tensor largest_logit(Tensor const& q, Tensor const& k, VisibleKeys const& visible, double scale);

#if LIERNE_BODIES

LIERNE_INLINE Tensor largest_logit(Tensor const& q, Tensor const& k, VisibleKeys const& visible, double scale) {
  check<ShapeError>(q.dim() == 4 && k.dim() == 4 && q.size(0) == k.size(0) && q.size(1) == k.size(1) &&
                        q.size(3) == k.size(3) && k.size(2) > 0 && q.size(2) % k.size(2) == 0,
                    "largest_logit: expected q [B, L, N, H] and k [B, L, K, H] with N a multiple of K, found ",
                    to_string(q.sizes()), " and ", to_string(k.sizes()));
  check_visible(visible, q.size(0), q.size(1));
  auto const wide = q.scalar_type() == float64 ? float64 : float32;
  auto const infinity = std::numeric_limits<double>::infinity();
  auto const length = q.size(1), heads = q.size(2), keys = k.size(2), size = q.size(3);
  auto largest = at::full({}, -infinity, q.options().dtype(wide));
  if (q.numel() == 0) return largest.to(float64);
  auto const rows_at_once = std::clamp<std::int64_t>((std::int64_t{1} << 22) / (heads * length), 1, length);
  for (std::int64_t b = 0; b < q.size(0); ++b) {
    auto const q_KGLH = q[b].to(wide).permute({1, 0, 2}).unflatten(0, {keys, heads / keys});
    auto const k_KHL = k[b].to(wide).permute({1, 2, 0});
    for (std::int64_t first = 0; first < length; first += rows_at_once) {
      auto const rows = std::min(rows_at_once, length - first), seen = first + rows;
      auto const q_KMH = q_KGLH.narrow(2, first, rows).reshape({keys, -1, size});
      auto const score = at::matmul(q_KMH, k_KHL.narrow(2, 0, seen)).view({heads, rows, seen});
      score.masked_fill_(visible_rows(visible, b, first, rows, q.device()).logical_not(), -infinity);
      largest = at::maximum(largest, score.amax());
    }
  }
  return largest.to(float64) * scale;
}

#endif

}  // namespace lierne::kernel
