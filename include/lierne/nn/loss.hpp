// SPDX-License-Identifier: Apache-2.0
// The training loss.
#pragma once

#include "lierne/nn/kernel/cross_entropy.hpp"
#include "lierne/nn/kernel/linear_cross_entropy.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// The label of a position that counts for nothing.
inline constexpr std::int64_t ignored_label = -100;

using kernel::cross_entropy_sum;
using kernel::CrossEntropyOptions;
static_assert(CrossEntropyOptions{}.ignored == ignored_label);

/// cap · tanh(logits / cap); the logits themselves where the cap is 0.
inline Tensor capped(Tensor const& logits, double cap) { return cap == 0 ? logits : logits.div(cap).tanh().mul(cap); }

/// The number of labels that are not ignored.
std::int64_t valid_labels(Tensor const& labels);

#if LIERNE_BODIES
LIERNE_INLINE std::int64_t valid_labels(Tensor const& labels) {
  return (labels != ignored_label).sum().item<std::int64_t>();
}
#endif

}  // namespace lierne
