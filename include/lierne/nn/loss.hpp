// SPDX-License-Identifier: Apache-2.0
// The training loss.
#pragma once

#include "lierne/nn/kernel/cross_entropy.hpp"
#include "lierne/nn/kernel/linear_cross_entropy.hpp"

namespace lierne {

/// The label of a position that counts for nothing.
inline constexpr std::int64_t ignored_label = -100;

/// The sum of -log softmax(logits)[label] over positions whose label is not ignored.
/// Shapes: logits [..., V], labels [...] → scalar. Units: nats. Numerics: see kernel::cross_entropy_sum.
inline Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels) {
  return kernel::cross_entropy_sum(logits, labels, ignored_label);
}

/// The number of labels that are not ignored.
std::int64_t valid_labels(Tensor const& labels);

#if LIERNE_BODIES
LIERNE_INLINE std::int64_t valid_labels(Tensor const& labels) {
  return (labels != ignored_label).sum().item<std::int64_t>();
}
#endif

}  // namespace lierne
