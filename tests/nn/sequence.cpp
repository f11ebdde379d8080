// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/sequence.hpp"

#include <doctest/doctest.h>

#include <type_traits>

using namespace lierne;

static_assert(std::is_aggregate_v<Sequence>);

TEST_CASE("a sequence without a Rope has no rotations") {
  CHECK_FALSE(Sequence{}.rotary.defined());
  auto const table = at::ones({4, 2, 2});
  CHECK(Sequence{.rotary = table}.rotary.is_same(table));
}
