// SPDX-License-Identifier: Apache-2.0
// Loops over LibTorch's own thread pool.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

namespace lierne {

/// Calls `body(begin, end)` on disjoint ranges that cover [begin, end), in parallel; each range but the last has at
/// least `grain` elements. The cut depends on the number of threads, so a body must not let it show in its results.
template <class Body>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, Body const& body) {
  at::parallel_for(begin, end, grain, body);
}

}  // namespace lierne
