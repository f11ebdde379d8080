// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/accumulate.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/rule.hpp"

using namespace lierne;

static_assert(PhaseBoundary<Accumulate>);
static_assert(check_rule<decltype(accumulate(4) | clip_norm(1.0) | adamw())>());
static_assert(check_rule<decltype(unscale() | accumulate(4) | adamw())>());
static_assert(check_rule<decltype(accumulate(4) | unscale() | (clip_norm(1.0) | adamw()))>());
static_assert(accumulate(4).coefficients(Call<>{})[0] == 0.25);

TEST_CASE("the stage makes the mean of a sum") {
  Element<Lane<double>> at{.weight = 1, .gradient = 12, .direction = 0};
  Accumulate::element(accumulate(8).coefficients(Call<>{}), at);
  CHECK(at.gradient.value == 1.5);
}

TEST_CASE("its name tells the calls and less than one is refused") {
  CHECK(name(accumulate(3) | adamw()).starts_with("accumulate 3 | adamw"));
  CHECK_THROWS_WITH_AS(accumulate(0), doctest::Contains("accumulate: expected at least one call, found 0"), ArgumentError);
}
