// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/scaling.hpp"

#include <doctest/doctest.h>

#include <set>

using lierne::Standard;

static_assert(lierne::Fills<Standard, lierne::Role::scaling>);
static_assert(Standard{}.by_depth && Standard{}.deviation == 0.02 && Standard{}.embedding_deviation == 1);

TEST_CASE("the name tells what differs from the defaults") {
  CHECK(Standard{}.name() == "standard");
  std::set<std::string> const names{Standard{}.name(), Standard{.by_depth = false}.name(),
                                    Standard{.deviation = 0.01}.name(), Standard{.embedding_deviation = 0.01}.name()};
  CHECK(names.size() == 4);
}
