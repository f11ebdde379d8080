// SPDX-License-Identifier: Apache-2.0
// The training loss.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// The label of a position that counts for nothing.
inline constexpr std::int64_t ignored_label = -100;

/// The sum of -log softmax(logits)[label] over positions whose label is not ignored.
/// Shapes: logits [..., V], labels [...] → scalar. Units: nats.
/// Numerics: in float32, or float64 for float64 logits. A batch without a valid label gives 0.
Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels);

/// The number of labels that are not ignored.
std::int64_t valid_labels(Tensor const& labels);

#if LIERNE_BODIES
LIERNE_INLINE Tensor cross_entropy_sum(Tensor const& logits, Tensor const& labels) {
  auto const wide = logits.scalar_type() == float64 ? logits : logits.to(float32);
  return at::cross_entropy_loss(wide.flatten(0, -2), labels.flatten(), /*weight=*/{}, at::Reduction::Sum,
                                ignored_label);
}

LIERNE_INLINE std::int64_t valid_labels(Tensor const& labels) {
  return (labels != ignored_label).sum().item<std::int64_t>();
}
#endif

}  // namespace lierne
