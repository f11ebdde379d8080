// SPDX-License-Identifier: Apache-2.0
// What a layer knows of the sequence it works on, besides the activations.
#pragma once

#include "lierne/nn/kernel/visible_keys.hpp"

namespace lierne {

class Recomputed;  // nn/recompute.hpp

/// The context of one forward pass, the same for all layers of a kind.
struct Sequence {
  /// Rotations of the kind's Rope: [L, d/2, 2], cosine and sine of each pair's angle; undefined without a Rope.
  Tensor rotary{};
  /// What the kind's mask lets each query see.
  kernel::VisibleKeys visible{};
  /// Whether layers may count what they see: in a training pass, when it runs first; not in validation, nor where a
  /// backward pass runs it again.
  bool counts = false;
  /// What one token weighs in the loss of the step, for terms that a layer adds to it; 0 where there is no loss.
  double token_weight = 0;
  /// Where a selective block notes the values that it does not keep; null elsewhere.
  Recomputed* recomputed = nullptr;
};

}  // namespace lierne
