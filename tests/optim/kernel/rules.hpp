// SPDX-License-Identifier: Apache-2.0
// Rules that together use every stage, and inputs to run them on.
#pragma once

#include <cmath>
#include <vector>

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/adopt.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/ema.hpp"
#include "lierne/optim/maximize.hpp"
#include "lierne/optim/qhadamw.hpp"
#include "lierne/optim/rule.hpp"

namespace lierne::test {

/// Calls `visit(rule)` for rules that together use every stage.
template <class Visit>
void for_each_rule(Visit&& visit) {
  visit(clip_norm(1) | adamw({.rate = 0.01}) | decay(0.1, times_rate));
  visit(maximize() | decay(0.1, coupled) | amsgrad({.rate = 0.01}) | decay(0.01, independent));
  visit(qhadamw({.rate = 0.01}) | decay(0.01, times_schedule));
  visit(adopt({.rate = 0.01}) | decay(0.1, times_rate));
  visit(qhadopt({.rate = 0.01}, no_bound));
  visit(adopt({.rate = 0.01}) | decay(0.01, independent) | ema(0.75));
  visit(recipe("mine", 0.01, labelled<"fast">(momentum({.beta = 0.5})) | normalise<Epsilon::floor>() | quasi_hyperbolic<Bias::kept>()));
}

/// The i-th of endless pseudo-random numbers in [-1, 1], a tenth of them 0.
template <class T>
T wave(std::int64_t i) {
  return i % 10 == 3 ? T(0) : static_cast<T>(std::sin(12.9898 * static_cast<double>(i) + 4.1));
}

}  // namespace lierne::test
