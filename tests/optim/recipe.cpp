// SPDX-License-Identifier: Apache-2.0
// Recipes and the names of rules.
#include "lierne/optim/recipe.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/clip_norm.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

using namespace lierne;

namespace {

struct Nameless {
  using pipe_role = StageRole;
  template <class V>
  static constexpr void element(auto const&, Element<V>&) {}
};

}  // namespace

static_assert(Stage<Recipe<double, Momentum<>>>);

TEST_CASE("a recipe keeps its rate and its stages") {
  constexpr auto mine = recipe("mine", 0.25, momentum({.beta = 0.5}) | normalise());
  static_assert(mine.rate == 0.25 && mine.body.left.beta == 0.5);
  CHECK(std::string(mine.title) == "mine");
}

TEST_CASE("a name holds every setting, so different rules have different names") {
  auto const rule = [](double beta) { return clip_norm(1) | recipe("mine", 0.25, momentum({.beta = beta})) | decay(0.1, times_rate); };
  CHECK(name(rule(0.5)) == "clip_norm 1 | mine 0.25 (momentum 0.5 corrected) | decay 0.1 times_rate");
  CHECK(name(rule(0.5)) != name(rule(0.5000000000000001)));
  CHECK(name(recipe("mine", 1.0, Nameless{})) == "mine 1 (own stage)");
}
