// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/named.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

static_assert(BindableRule<decltype(adamw())>);
static_assert(BindableRule<decltype(scheduled(adamw(), warmup(2)))>);
static_assert(BindableRule<decltype(grouped(adamw(), groups(otherwise())))>);
static_assert(BindableRule<decltype(grouped(adamw(), mup_groups(times_rate)))>);
static_assert(!BindableRule<int> && !BindableRule<Schedule>);

TEST_CASE("a name goes with any rule, and leaves it what it is") {
  CHECK(named("fast", adamw({.rate = 2})).name == "fast");
  CHECK(initial_rate(named("fast", adamw({.rate = 2})).rule) == 2);
  auto const late = named("late", scheduled(adamw(), warmup(4)));
  CHECK(late.rule.schedule(0, 10) == 0.25);
  CHECK(bind(late.rule)->name() == bind(adamw())->name());
}

TEST_CASE("a text alone is still a condition on parameters") {
  std::string const name = "layers.0.wq.weight";
  Shape const shape{4, 4};
  CHECK(named("*.wq.weight").holds({name, shape, Kind::matrix}));
}
