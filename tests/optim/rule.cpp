// SPDX-License-Identifier: Apache-2.0
// Rules: checks that pass (those that fail are in tests/fail), the rate, the stage that applies.
#include "lierne/optim/rule.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/adopt.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/maximize.hpp"

using namespace lierne;

static_assert(check_rule<decltype(adamw())>());
static_assert(check_rule<decltype(clip_norm(1) | maximize() | decay(0.1, coupled) | adopt() | decay(0.1, independent))>());
static_assert(check_rule<decltype(recipe("two", 0.1, momentum() | labelled<"slow">(momentum()) | normalise()))>());
static_assert(detail::recipe_count<decltype(clip_norm(1) | momentum())> == 0);
static_assert(detail::recipe_count<decltype(adamw() | adopt())> == 2);

TEST_CASE("the rate is the recipe's, wherever it stands") {
  CHECK(initial_rate(adamw({.rate = 0.5})) == 0.5);
  CHECK(initial_rate(clip_norm(1) | adamw({.rate = 0.5})) == 0.5);
  CHECK(initial_rate(clip_norm(1) | (maximize() | (adamw({.rate = 0.5}) | decay(0.1, times_rate)))) == 0.5);
}

TEST_CASE("the first stage is the leftmost, however the pipe is grouped") {
  CHECK(first_stage(clip_norm(2) | (maximize() | adamw())).largest == 2);
  CHECK(first_stage((clip_norm(3) | maximize()) | adamw()).largest == 3);
}

TEST_CASE("apply subtracts rate times direction") {
  auto const numbers = Apply{}.coefficients(Call<>{.rate = 0.25});
  Element<Lane<double>> at{.weight = 1, .gradient = 100, .direction = 2};
  Apply::element(numbers, at);
  CHECK(at.weight.value == 0.5);
}
