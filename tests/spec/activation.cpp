// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/activation.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace lierne;

static_assert(Gelu{} != Gelu{.approximate = true} && Silu{} == Silu{});

TEST_CASE("no two activations share a name") {
  std::set<std::string> const names{Silu{}.name(), Gelu{}.name(), Gelu{.approximate = true}.name(), SquaredRelu{}.name()};
  CHECK(names.size() == 4);
}
