// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/recompute.hpp"

#include <doctest/doctest.h>

#include "lierne/spec/block.hpp"
#include "lierne/spec/name.hpp"
#include "lierne/spec/with.hpp"

using namespace lierne;

static_assert(Fills<NoRecompute, Role::recompute> && Fills<RecomputeBlock, Role::recompute> &&
              Fills<RecomputeSelective, Role::recompute>);
static_assert(!NoRecompute::block && RecomputeBlock::block && !RecomputeSelective::block);
static_assert(!NoRecompute{}.norms && !RecomputeBlock{}.activations && RecomputeSelective{}.norms);

// The slot changes by layer as others do, and is part of what makes a block's type.
constexpr Decoder plain{.layers = 4, .width = 64, .vocab = 128, .mixer = Attention{.heads = 4}};
constexpr auto second = with(plain, every<2>(RecomputeBlock{}, NoRecompute{}));
static_assert(block_period(plain) == 1 && block_period(second) == 2);
static_assert(block_at<0>(second).recompute == NoRecompute{} && block_at<1>(second).recompute == RecomputeBlock{});
static_assert(block_at<3>(second).recompute == RecomputeBlock{});
static_assert(block_at<2>(with(plain, RecomputeSelective{.norms = false})).recompute.activations);

TEST_CASE("every policy has a name of its own") {
  CHECK(NoRecompute{}.name() == "no recompute");
  CHECK(RecomputeBlock{}.name() == "recompute block");
  CHECK(RecomputeSelective{}.name() == "recompute norms and activations");
  CHECK(RecomputeSelective{.norms = false}.name() == "recompute activations");
  CHECK(RecomputeSelective{.activations = false}.name() == "recompute norms");
}
