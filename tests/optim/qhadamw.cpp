// SPDX-License-Identifier: Apache-2.0
// QHAdamW against recorded runs of the fork and of qhoptim.
#include "lierne/optim/qhadamw.hpp"

#include <doctest/doctest.h>

#include "optim/trajectory.hpp"

using namespace lierne;

static_assert(Stage<decltype(qhadamw())>);

TEST_CASE("qhadamw equals QHAdamW with coupled and both decoupled decays") {
  LIERNE_CHECK_TRAJECTORY("qhadamw_default", qhadamw({.rate = 3e-3}) | decay(1e-5, times_schedule));
  LIERNE_CHECK_TRAJECTORY("qhadamw_coupled", decay(0.01, coupled) | qhadamw({.rate = 3e-3}));
  LIERNE_CHECK_TRAJECTORY("qhadamw_official_decoupled", qhadamw({.rate = 3e-3}) | decay(0.1, times_rate));
}

TEST_CASE("qhadamw with nu = 1 is adamw") {
  test::Trajectory const recorded("adamw_plain");
  auto const rule = qhadamw({.rate = 3e-3, .beta2 = 0.999, .nu = 1}) | decay(0.1, times_rate);
  CHECK(test::replay(recorded, rule, Path::fused, float64).weights <= 1e-14);
}
