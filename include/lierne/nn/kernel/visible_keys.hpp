// SPDX-License-Identifier: Apache-2.0
// Which keys each query of an attention may see: one run of positions that ends at its own.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// B batch, L length.

namespace lierne::kernel {

/// Query t sees key s if and only if max(first[t], t - t mod block) ≤ s ≤ t. Of nothing: causal. One number a query is
/// all that causal, document, fixed-block and sliding-window masks and their conjunctions need.
/// Shapes: first [B, L] of int64, or [1, L] where all sequences of the batch have the same.
struct VisibleKeys {
  Tensor first{};          ///< undefined: position 0
  std::int64_t block = 0;  ///< no query sees beyond the block of this length that it lies in; 0: no such blocks

  bool all() const { return !first.defined() && block == 0; }
};

/// Refuses a `first` that does not fit `batch` sequences of `length`. Errors: `ShapeError`; on the CPU also
/// `ArgumentError` for a first key outside [0, t], which would leave query t nothing to see.
void check_visible(VisibleKeys const& visible, std::int64_t batch, std::int64_t length);

/// The same as a table. Shape: [B or 1, L, L] of bool, true where query (row) sees key (column).
Tensor visible_table(VisibleKeys const& visible, std::int64_t length, Device device);

/// Rows [begin, begin + rows) of sequence b's table, with the keys up to the last of them. Shape: [rows, begin + rows].
Tensor visible_rows(VisibleKeys const& visible, std::int64_t b, std::int64_t begin, std::int64_t rows, Device device);

#if LIERNE_BODIES

LIERNE_INLINE void check_visible(VisibleKeys const& visible, std::int64_t batch, std::int64_t length) {
  check(visible.block >= 0, "attention: expected a block of at least 1, or 0 for none, found ", visible.block);
  if (!visible.first.defined()) return;
  auto const& first = visible.first;
  check<ShapeError>(first.dim() == 2 && (first.size(0) == batch || first.size(0) == 1) && first.size(1) == length &&
                        first.scalar_type() == int64,
                    "attention: expected first keys of int64 and shape [", batch, " or 1, ", length, "], found ",
                    at::toString(first.scalar_type()), " and ", to_string(first.sizes()));
  if (!first.device().is_cpu()) return;
  auto const rows = first.contiguous();
  auto const* from = rows.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < rows.numel(); ++i) {
    auto const t = i % length;
    check(from[i] >= 0 && from[i] <= t, "attention: expected the first key of query ", t, " in [0, ", t, "], found ", from[i]);
  }
}

namespace detail {

/// The table for queries at `query` [R, 1] and keys at `key` [C], with the queries' `first` [..., R, 1] if defined.
inline Tensor visible_where(Tensor const& query, Tensor const& key, Tensor const& first, std::int64_t block) {
  auto table = key <= query;
  if (block > 0) table = table.logical_and(key >= query - query % block);
  if (first.defined()) table = table.logical_and(key >= first);
  return table;
}

}  // namespace detail

LIERNE_INLINE Tensor visible_table(VisibleKeys const& visible, std::int64_t length, Device device) {
  auto const position = at::arange(length, at::TensorOptions().dtype(int64).device(device));
  auto const first = visible.first.defined() ? visible.first.unsqueeze(2) : Tensor();
  auto const table = detail::visible_where(position.unsqueeze(1), position, first, visible.block);
  return table.dim() == 2 ? table.unsqueeze(0) : table;
}

LIERNE_INLINE Tensor visible_rows(VisibleKeys const& visible, std::int64_t b, std::int64_t begin, std::int64_t rows,
                                 Device device) {
  auto const position = at::arange(begin + rows, at::TensorOptions().dtype(int64).device(device));
  Tensor first;
  if (visible.first.defined()) {
    first = visible.first[visible.first.size(0) == 1 ? 0 : b].narrow(0, begin, rows).unsqueeze(1);
  }
  return detail::visible_where(position.narrow(0, begin, rows).unsqueeze(1), position, first, visible.block);
}

#endif

}  // namespace lierne::kernel
