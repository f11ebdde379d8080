// SPDX-License-Identifier: Apache-2.0
// Example 05: Adam fails for small β₂, ADOPT for none.
#include "../../examples/05_adopt_toy.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

/// The same problem and rule written out for single numbers.
double adopt_by_hand(RareGradients const& problem, double beta2) {
  Random const random{problem.seed};
  std::vector<double> w(64), m(64), v(64);
  for (std::int64_t t = 0; t < problem.steps; ++t) {
    for (std::size_t i = 0; i < 64; ++i) {
      double const u = random.uniform(static_cast<std::uint64_t>(t) * 64 + i);
      double const g = u < 1 / problem.k ? problem.k * problem.k : -problem.k;
      if (t == 0) {
        v[i] = g * g;
        continue;
      }
      m[i] = 0.9 * m[i] + 0.1 * g / std::max(std::sqrt(v[i]), 1e-6);
      w[i] = std::clamp(w[i] - 0.01 / std::sqrt(1 + 0.01 * static_cast<double>(t)) * m[i], -1.0, 1.0);
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    }
  }
  return std::accumulate(w.begin(), w.end(), 0.0) / 64;
}

}  // namespace

TEST_CASE("the problem is the one that is written down") {
  RareGradients const problem{.steps = 300};
  CHECK(problem.last_point(adopt({.rate = 0.01, .beta2 = 0.9}, no_bound)) == doctest::Approx(adopt_by_hand(problem, 0.9)).epsilon(1e-9));
}

TEST_CASE("Adam walks to the worst point for small beta2, ADOPT towards the best for every beta2") {
  RareGradients const problem{.steps = 10000};
  for (double beta2 : {0.1, 0.5, 0.9}) {
    CAPTURE(beta2);
    CHECK(problem.last_point(adamw({.rate = 0.01, .beta2 = beta2})) > 0.8);
  }
  for (double beta2 : {0.1, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
    CAPTURE(beta2);
    CHECK(problem.last_point(adopt({.rate = 0.01, .beta2 = beta2}, no_bound)) < -0.5);
  }
}
