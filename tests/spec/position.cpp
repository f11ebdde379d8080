// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/position.hpp"

#include <doctest/doctest.h>

using namespace lierne;

static_assert(Fills<Rope, Role::position> && Fills<NoPosition, Role::position>);
static_assert(Rope{}.base == 10000 && Rope{}.scaling.factor == 0, "the original's defaults: base 10000, not scaled");
static_assert(llama31_scaling == RopeScaling{8, 1, 4, 8192});
static_assert(llama4_scaling == RopeScaling{16, 1, 1, 8192});
static_assert(Rope{.base = 5e5} != Rope{} && Rope{.scaling = llama31_scaling} != Rope{});

TEST_CASE("names tell every number that turns the rotation") {
  CHECK(Rope{}.name() == "rope 10000");
  CHECK(Rope{.base = 5e5}.name() == "rope 500000");
  CHECK(Rope{.base = 5e5, .scaling = llama31_scaling}.name() == "rope 500000 scaled 8 (1, 4, 8192)");
  CHECK(Rope{.base = 1234567}.name() != Rope{.base = 1234568}.name());
  CHECK(NoPosition{}.name() == "nope");
}
