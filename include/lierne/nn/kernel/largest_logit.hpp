// SPDX-License-Identifier: Apache-2.0
// The largest logit of causal attention, some rows of queries at a time.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <limits>

#include "lierne/core/error.hpp"
#endif

// B batch, L length, N query heads, K key heads, G = N/K, H head size, R query rows at a time, C the keys they may see.

namespace lierne::kernel {

/// max over batch, heads and keys up to the query's own position of q · k / √H: the largest number that
/// `causal_attention` takes the exponential of. Shapes: q [B, L, N, H], k [B, L, K, H] → scalar of float64, on their
/// device. -inf without elements; NaN where a logit is NaN. Errors: `ShapeError`.
/// Numerics: products in float32, of float64 in float64. Holds N · R · L of them at once, about four million.
Tensor largest_causal_logit(Tensor const& q, Tensor const& k);

#if LIERNE_BODIES

LIERNE_INLINE Tensor largest_causal_logit(Tensor const& q, Tensor const& k) {
  check<ShapeError>(q.dim() == 4 && k.dim() == 4 && q.size(0) == k.size(0) && q.size(1) == k.size(1) &&
                        q.size(3) == k.size(3) && k.size(2) > 0 && q.size(2) % k.size(2) == 0,
                    "largest_causal_logit: expected q [B, L, N, H] and k [B, L, K, H] with N a multiple of K, found ",
                    to_string(q.sizes()), " and ", to_string(k.sizes()));
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
      auto const later = at::ones({rows, rows}, q.options().dtype(at::kBool)).triu(1);
      score.narrow(2, first, rows).masked_fill_(later, -infinity);
      largest = at::maximum(largest, score.amax());
    }
  }
  return largest.to(float64) / std::sqrt(static_cast<double>(size));
}

#endif

}  // namespace lierne::kernel
