// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/loss.hpp"

#include <doctest/doctest.h>

using lierne::CrossEntropy;

static_assert(lierne::Fills<CrossEntropy, lierne::Role::loss>);
static_assert(CrossEntropy{}.z == 0 && CrossEntropy{}.soft_cap == 0);

TEST_CASE("the name tells what is on") {
  CHECK(CrossEntropy{}.name() == "cross entropy");
  CHECK(CrossEntropy{.z = 1e-4}.name() == "cross entropy z 0.0001");
  CHECK(CrossEntropy{.z = 1e-4, .soft_cap = 30}.name() == "cross entropy z 0.0001 cap 30");
}
