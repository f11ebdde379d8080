// SPDX-License-Identifier: Apache-2.0
// Where Adam fails and ADOPT does not: the toy problem of the ADOPT paper, for small and large β₂.
#include "05_adopt_toy.hpp"

#include <cstdio>

namespace ln = lierne;

int main() {
  RareGradients const problem{.k = 10, .steps = 50000};
  std::printf("mean of %d last points; the best is -1, the worst 1\n%8s %8s %8s %8s\n", problem.runs, "beta2", "adam", "amsgrad", "adopt");
  for (double beta2 : {0.1, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
    std::printf("%8g %8.3f %8.3f %8.3f\n", beta2, problem.last_point(ln::adamw({.rate = 0.01, .beta2 = beta2})),
                problem.last_point(ln::amsgrad({.rate = 0.01, .beta2 = beta2})),
                problem.last_point(ln::adopt({.rate = 0.01, .beta2 = beta2}, ln::no_bound)));
  }
}
