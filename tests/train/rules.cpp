// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/rules.hpp"

#include <doctest/doctest.h>

#include "lierne/core/error.hpp"
#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

auto slow() { return clip_norm(1.0) | adamw({.rate = 0.25}) | decay(0.1, times_rate); }

auto list() {
  return rules(named("adamw", scheduled(slow(), warmup(4), mup_groups(times_rate))), named("lion", lion({.rate = 0.5})),
               named("flat", grouped(lion({.rate = 0.125}), groups(otherwise()))));
}

ModelFacts const plain{.width = 64};
ModelFacts const scaled{.width = 64, .mup = MupSettings{.width = 2}};

std::unique_ptr<Optimizer> bound(std::string name, ModelFacts const& facts = plain) {
  Options options;
  options.rule = std::move(name);
  return list().bind(options, facts);
}

double factor_of_matrix(Optimizer& optimizer) {
  Slot const slot{.name = "layers.0.wq.weight", .weight = at::zeros({4, 4}), .kind = Kind::matrix};
  return optimizer.parts({&slot, 1})[0].slot.multipliers.rate;
}

}  // namespace

static_assert(std::derived_from<Rules, Choice>);

TEST_CASE("the chosen rule is bound with its schedule, and the first without a choice") {
  CHECK(bound("lion")->name() == name(lion({.rate = 0.5})));
  CHECK(bound("")->name() == name(slow()));
  CHECK(bound("adamw")->rate({.step = 0, .total = 10}) == 0.25 / 4);
  CHECK(bound("lion")->rate({.step = 0, .total = 10}) == 0.5);
}

TEST_CASE("one rule has the groups of whichever model it is bound for") {
  CHECK(factor_of_matrix(*bound("adamw", scaled)) == 0.5);
  CHECK(factor_of_matrix(*bound("adamw", plain)) == 1);
  CHECK(factor_of_matrix(*bound("flat", scaled)) == 1);
}

TEST_CASE("the list says what each rule is") {
  auto const all = list();
  REQUIRE(all.entries().size() == 3);
  CHECK(all.entries()[0].meaning == name(slow()));
  CHECK(all.entries()[2].name == "flat");
  CHECK(all.option() == "rule");
}

TEST_CASE("an unknown rule, a name given twice, and muP without groups are refused") {
  CHECK_THROWS_WITH_AS(bound("adam"), "options: rule: expected one of adamw, lion, flat, found 'adam' (did you mean 'adamw'?)", ArgumentError);
  CHECK_THROWS_WITH_AS(rules(named("a", adamw()), named("a", lion())), doctest::Contains("rules: two entries are named 'a'"), ArgumentError);
  CHECK_THROWS_WITH_AS(bound("lion", scaled), doctest::Contains("rule: 'lion' has no groups, which a model under muP needs"), ArgumentError);
}
