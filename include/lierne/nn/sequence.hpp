// SPDX-License-Identifier: Apache-2.0
// What a mixer knows of the sequence it works on, besides the activations.
#pragma once

#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// The context of one forward pass, the same for all layers of a kind.
struct Sequence {
  /// Rotations of the kind's Rope: [L, d/2, 2], cosine and sine of each pair's angle; undefined without a Rope.
  Tensor rotary{};
};

}  // namespace lierne
