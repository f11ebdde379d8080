// SPDX-License-Identifier: Apache-2.0
// AdamW and its relatives against recorded runs of torch.optim and of the fork's DecoupledAdamW.
#include "lierne/optim/adamw.hpp"

#include <doctest/doctest.h>

#include "optim/trajectory.hpp"

using namespace lierne;

static_assert(Stage<decltype(adamw())>);
static_assert(Layout<decltype(adamw())>::fields == 2 && Layout<decltype(amsgrad())>::fields == 3);

TEST_CASE("adamw equals torch.optim.AdamW") {
  LIERNE_CHECK_TRAJECTORY("adamw_plain", adamw({.rate = 3e-3}) | decay(0.1, times_rate));
  LIERNE_CHECK_TRAJECTORY("adamw_maximize", maximize() | adamw({.rate = 3e-3}) | decay(0.1, times_rate));
  LIERNE_CHECK_TRAJECTORY("adamw_amsgrad", amsgrad({.rate = 3e-3}) | decay(0.1, times_rate));
}

TEST_CASE("adamw with either decay equals DecoupledAdamW") {
  LIERNE_CHECK_TRAJECTORY("decoupled_adamw_on", adamw({.rate = 3e-3, .beta2 = 0.95}) | decay(0.01, times_schedule));
  LIERNE_CHECK_TRAJECTORY("decoupled_adamw_off", adamw({.rate = 3e-3, .beta2 = 0.95}) | decay(0.01, times_rate));
}

TEST_CASE("the comparison can fail: a wrong form of decay and a wrong order are seen") {
  test::Trajectory const recorded("adamw_plain");
  auto const settings = AdamSettings<>{.rate = 3e-3};
  CHECK(test::replay(recorded, adamw(settings) | decay(0.1, times_schedule), Path::fused, float64).weights > 1e-3);
  CHECK(test::replay(recorded, decay(0.1, coupled) | adamw(settings), Path::fused, float64).weights > 1e-3);
  auto const other_order = recipe("laprop", 3e-3, normalise() | momentum()) | decay(0.1, times_rate);
  CHECK(test::replay(recorded, other_order, Path::fused, float64).weights > 1e-3);
}

TEST_CASE("adamw names itself and its settings") {
  CHECK(name(adamw({.rate = 3e-4, .beta2 = 0.95})) ==
        "adamw 0.0003 (momentum 0.9 corrected | second moment 0.95 + 1e-08)");
}
