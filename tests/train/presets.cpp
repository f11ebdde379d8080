// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/presets.hpp"

#include "lierne/core/error.hpp"
#include "train/small.hpp"

using namespace lierne;

namespace {

auto list() {
  return presets(preset<small::spec>("small"), preset<small::experts, Plan{.shard = rest}>("experts"),
                 preset("probed", [] { return Model<small::spec>{} | probes<ActivationRms>({.every = 2}); }));
}

std::unique_ptr<Trainable> made(std::string name) {
  Options options;
  options.preset = std::move(name);
  return list().make(options);
}

}  // namespace

static_assert(std::derived_from<Presets, Choice>);

TEST_CASE("the chosen model is made, with its plan and probes, and the first without a choice") {
  CHECK(made("experts")->name() == name(small::experts));
  CHECK(made("experts")->parameter_count() == parameters(small::experts).total());
  CHECK(made("experts")->plan() == Plan{.shard = rest});
  CHECK(made("experts")->facts().width == 32);
  CHECK(made("")->name() == name(small::spec));
  CHECK(made("small")->probes() == nullptr);
  CHECK(made("probed")->probes() != nullptr);
}

TEST_CASE("each model that is made is another one") {
  auto const all = list();
  Options options;
  auto const one = all.make(options), two = all.make(options);
  one->init({.seed = 1}, Mesh{});
  CHECK(one->parameters()[0]->owned.defined());
  CHECK_FALSE(two->parameters()[0]->owned.defined());
}

TEST_CASE("the list says what each name is") {
  auto const all = list();
  REQUIRE(all.entries().size() == 3);
  CHECK(all.entries()[0].name == "small");
  CHECK(all.entries()[0].meaning == name(small::spec));
  CHECK(all.entries()[1].meaning == name(small::experts) + ", replicate 1, shard rest, tensor 1");
  CHECK(all.option() == "preset");
}

TEST_CASE("an unknown preset and a name given twice are refused") {
  CHECK_THROWS_WITH_AS(made("expert"), "options: preset: expected one of small, experts, probed, found 'expert' (did you mean 'experts'?)",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(presets(preset<small::spec>("a"), preset<small::experts>("a")), doctest::Contains("presets: two entries are named 'a'"),
                       ArgumentError);
}
