// SPDX-License-Identifier: Apache-2.0
// Where the tokens of a batch go: rows sorted by expert.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <limits>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// T tokens, K choices of each, E experts, S = T·K slots (slot t·K + k is choice k of token t), R rows.

namespace lierne::kernel {

/// A place for every slot among rows that are sorted by expert, and within an expert by slot. Indices are int64.
struct Dispatch {
  Tensor slot_of_row;  ///< [R]; S where a row serves no slot
  Tensor row_of_slot;  ///< [S]
  Tensor ends;         ///< [E] of int32: behind each expert's last row
};

/// Sorts the choices [T, K] of int64 by expert. The rows of each expert begin and end at a multiple of `multiple`; if
/// that is not 1, an expert without tokens has rows too, and there are R = S + E·multiple of them, rounded up, so that
/// the host need not know the counts. Errors: `ShapeError`, also for 2^31 rows and more.
/// Numerics: the same for any number of threads; no atomic operation.
Dispatch dispatch(Tensor const& choices, std::int64_t experts, std::int64_t multiple = 1);

/// How many slots chose each expert. Shapes: [T, K] of int64 → [E] of int64.
Tensor expert_counts(Tensor const& choices, std::int64_t experts);

#if LIERNE_BODIES

namespace detail {

/// The same by counting, where the host has the choices.
inline Dispatch dispatch_on_host(Tensor const& choices, std::int64_t experts) {
  auto const slots = choices.numel();
  auto const* chosen = choices.const_data_ptr<std::int64_t>();
  Dispatch result{at::empty({slots}, choices.options()), at::empty({slots}, choices.options()),
                  at::empty({experts}, choices.options().dtype(at::kInt))};
  std::vector<std::int64_t> next(static_cast<std::size_t>(experts) + 1, 0);
  for (std::int64_t s = 0; s < slots; ++s) {
    check<ShapeError>(chosen[s] >= 0 && chosen[s] < experts, "dispatch: expected an expert below ", experts, ", found ",
                      chosen[s]);
    ++next[static_cast<std::size_t>(chosen[s]) + 1];
  }
  auto* ends = result.ends.mutable_data_ptr<std::int32_t>();
  for (std::size_t e = 0; e < static_cast<std::size_t>(experts); ++e) {
    next[e + 1] += next[e];
    ends[e] = static_cast<std::int32_t>(next[e + 1]);
  }
  auto *slot_of_row = result.slot_of_row.mutable_data_ptr<std::int64_t>(),
       *row_of_slot = result.row_of_slot.mutable_data_ptr<std::int64_t>();
  for (std::int64_t s = 0; s < slots; ++s) {
    auto const row = next[static_cast<std::size_t>(chosen[s])]++;
    slot_of_row[row] = s;
    row_of_slot[s] = row;
  }
  return result;
}

/// Where each expert's run begins in sorted choices, and where the last one ends: [E + 1].
inline Tensor bounds_of_sorted(Tensor const& sorted, std::int64_t experts) {
  return at::searchsorted(sorted, at::arange(experts + 1, sorted.options()));
}

}  // namespace detail

LIERNE_INLINE Tensor expert_counts(Tensor const& choices, std::int64_t experts) {
  if (choices.device().is_cpu()) return at::bincount(choices.flatten(), {}, experts);
  // On a device bincount waits for the host.
  return at::diff(detail::bounds_of_sorted(std::get<0>(at::sort(choices.flatten())), experts));
}

LIERNE_INLINE Dispatch dispatch(Tensor const& choices, std::int64_t experts, std::int64_t multiple) {
  check<ShapeError>(choices.dim() == 2 && choices.scalar_type() == int64 && experts >= 1 && multiple >= 1,
                    "dispatch: expected choices [T, K] of int64 and positive numbers, found ", to_string(choices.sizes()),
                    " of ", at::toString(choices.scalar_type()), ", ", experts, " experts, rows by ", multiple);
  auto const slots = choices.numel();
  auto const rows = multiple == 1 ? slots : (slots + experts * multiple + multiple - 1) / multiple * multiple;
  check<ShapeError>(rows <= std::numeric_limits<std::int32_t>::max(), "dispatch: expected fewer than 2^31 rows, found ",
                    rows, " (use smaller micro-batches)");
  if (multiple == 1 && choices.device().is_cpu()) return detail::dispatch_on_host(choices.contiguous(), experts);

  auto const flat = choices.flatten();
  auto const [sorted, order] = at::sort(flat, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  auto const bounds = detail::bounds_of_sorted(sorted, experts);
  auto const counts = at::diff(bounds);
  auto const blocks = multiple == 1 ? counts : at::floor_divide(counts + (multiple - 1), multiple).clamp_min(1);
  auto const ends = (blocks * multiple).cumsum(0);
  // A slot moves as far as its expert's first row does.
  auto const shift = (ends - blocks * multiple) - bounds.narrow(0, 0, experts);
  auto const place = at::arange(slots, flat.options()) + shift.index_select(0, sorted);
  return {.slot_of_row = at::full({rows}, slots, flat.options()).scatter_(0, place, order),
          .row_of_slot = at::empty_like(flat).scatter_(0, order, place),
          .ends = ends.to(at::kInt)};
}

#endif

}  // namespace lierne::kernel
