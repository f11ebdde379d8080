// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/recompute.hpp"

#include <doctest/doctest.h>

#include "lierne/spec/block.hpp"

using namespace lierne;

namespace {

struct Own {
  static constexpr Role role = Role::recompute;
  friend constexpr bool operator==(Own const&, Own const&) = default;
};
constexpr Decoder half{.layers = 4, .width = 8, .vocab = 8, .recompute = every<2>(Own{}, NoRecompute{})};

static_assert(Fills<NoRecompute, Role::recompute>);
static_assert(block_at<0>(half).recompute == NoRecompute{} && block_at<1>(half).recompute == Own{});
static_assert(block_period(half) == 2);

}  // namespace

TEST_CASE("the default has a name") { CHECK(NoRecompute{}.name() == "no recompute"); }
