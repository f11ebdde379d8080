// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/plan.hpp"

#include <doctest/doctest.h>

#include <climits>

using namespace lierne;

static_assert(Plan{} == Plan{.replicate = 1, .shard = 1, .tensor = 1} && fits(Plan{}, 1) && !fits(Plan{}, 2));
static_assert(resolved(Plan{.shard = rest, .tensor = 2}, 8) == Plan{.shard = 4, .tensor = 2});
static_assert(resolved(Plan{.replicate = rest, .shard = 2}, 8) == Plan{.replicate = 4, .shard = 2});
static_assert(!well_formed(Plan{.replicate = rest, .shard = rest}) && !well_formed(Plan{.tensor = rest}));
static_assert(!well_formed(Plan{.shard = 0}) && !well_formed(Plan{.replicate = -2}) && !well_formed(Plan{.tensor = 0}));

// Naive: a plan fits if some degrees in place of `rest` have exactly `world` as their product.
static bool fits_by_trial(Plan plan, int world) {
  int found = 0;
  for (int degree = 1; degree <= 64; ++degree) {
    int const r = plan.replicate == rest ? degree : plan.replicate;
    int const s = plan.shard == rest ? degree : plan.shard;
    if (r >= 1 && s >= 1 && plan.tensor >= 1 && r * s * plan.tensor == world) ++found;
  }
  bool const two_rests = plan.replicate == rest && plan.shard == rest;
  return found > 0 && !two_rests;
}

TEST_CASE("fits is what a search over degrees says, and resolved is what it found") {
  for (int world = -4; world <= 24; ++world) {
    for (int replicate : {-2, rest, 0, 1, 2, 3}) {
      for (int shard : {-2, rest, 0, 1, 2, 4}) {
        for (int tensor : {-1, 0, 1, 2, 4}) {
          Plan const plan{.replicate = replicate, .shard = shard, .tensor = tensor};
          CAPTURE(to_string(plan));
          CAPTURE(world);
          REQUIRE(fits(plan, world) == fits_by_trial(plan, world));
          if (fits(plan, world)) {
            auto const whole = resolved(plan, world);
            REQUIRE(processes(whole) == world);
            REQUIRE((replicate == rest || whole.replicate == replicate));
            REQUIRE((shard == rest || whole.shard == shard));
            REQUIRE(whole.tensor == tensor);
            REQUIRE(resolved(whole, world) == whole);
          }
        }
      }
    }
  }
}

TEST_CASE("degrees whose product leaves int do not fit") {
  CHECK_FALSE(fits(Plan{.replicate = 1 << 16, .shard = 1 << 16}, 0));
  CHECK_FALSE(fits(Plan{.replicate = 1 << 16, .shard = 1 << 16}, 1));
  CHECK_FALSE(fits(Plan{.shard = rest, .tensor = INT_MAX}, 8));
}

TEST_CASE("a malformed plan is resolved to itself") {
  Plan const both{.replicate = rest, .shard = rest, .tensor = 2};
  CHECK(resolved(both, 1) == both);
  CHECK(resolved(Plan{.shard = rest, .tensor = 0}, 4) == Plan{.shard = rest, .tensor = 0});
}

TEST_CASE("a plan prints its degrees") {
  CHECK(to_string(Plan{.shard = rest, .tensor = 2}) == "replicate 1, shard rest, tensor 2");
}
