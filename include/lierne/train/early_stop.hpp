// SPDX-License-Identifier: Apache-2.0
// Tells when a run's held-out loss has stopped falling.
#pragma once

#include <cstdint>
#include <limits>

namespace lierne {

/// Done when `patience` validations in a row brought no lower loss than the best before them. 0: never.
/// A loss that is not a number is no improvement.
struct EarlyStop {
  std::int64_t patience = 0;
  double best = std::numeric_limits<double>::infinity();
  std::int64_t without = 0;  ///< validations since the best

  /// Takes a validation's loss in; whether the run should end.
  bool done(double loss) {
    bool const better = loss < best;
    if (better) best = loss;
    without = better ? 0 : without + 1;
    return patience > 0 && without >= patience;
  }
};

}  // namespace lierne
