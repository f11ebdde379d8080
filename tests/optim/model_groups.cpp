// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/model_groups.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "lierne/spec/with.hpp"

using namespace lierne;

namespace {

constexpr Decoder plain{.layers = 6, .width = 512, .vocab = 100};
constexpr auto scaled = with(plain, MuP{.base_width = 256, .base_layers = 3});

auto rule() { return clip_norm(1.0) | adamw() | decay(0.1, times_rate); }

std::vector<Slot> slots() {
  std::vector<Slot> all;
  auto const add = [&](std::string name, Kind kind, Shape shape) {
    all.push_back({.name = std::move(name), .weight = at::zeros(shape), .kind = kind, .shape = shape});
  };
  add("tok_embeddings.weight", Kind::embedding, {100, 8});
  add("layers.0.attention.wq.weight", Kind::matrix, {8, 8});
  add("layers.0.attention_norm.weight", Kind::norm, {8});
  add("norm.weight", Kind::norm, {8});
  add("output.weight", Kind::output, {100, 8});
  return all;
}

std::vector<Multipliers> factors(Optimizer& optimizer) {
  auto const all = slots();
  std::vector<Multipliers> found;
  for (auto const& part : optimizer.parts(all)) found.push_back(part.slot.multipliers);
  return found;
}

static_assert(ModelTable<MupGroupsOfModel<DecayForm::times_rate>>);
static_assert(!ModelTable<Groups>);

}  // namespace

TEST_CASE("the facts of a record are its numbers") {
  auto const facts = model_facts(scaled);
  CHECK(facts.layers == 6);
  CHECK(facts.width == 512);
  CHECK(facts.vocab == 100);
  REQUIRE(facts.mup);
  CHECK(facts.mup->width == 2);
  CHECK(facts.mup->depth == 2);
  CHECK(facts.mup->scales_depth);
  CHECK_FALSE(model_facts(plain).mup);
}

TEST_CASE("groups of the model are those that name the model") {
  auto const late = scheduled(rule(), warmup(3), mup_groups(times_rate));
  auto const bound = factors(*bind(late, model_facts(scaled)));
  CHECK((bound == factors(*bind(scheduled(rule(), warmup(3), mup_groups(times_rate, scaled))))));
  CHECK(bound[1].rate == 0.5);
  CHECK(bound[1].decay == 2);
  // The rule says what becomes of its epsilon, the model does not.
  auto const kept = factors(*bind(grouped(rule(), mup_groups(times_rate, MupEpsilon::kept)), model_facts(scaled)));
  CHECK((kept == factors(*bind(grouped(rule(), mup_groups(times_rate, scaled, MupEpsilon::kept))))));
  CHECK((kept != bound));
}

TEST_CASE("a model without muP has the rule as it is") {
  auto const late = scheduled(rule(), warmup(4), mup_groups(times_rate));
  auto const bound = bind(late, model_facts(plain)), alone = bind(scheduled(rule(), warmup(4)));
  CHECK((factors(*bound) == factors(*alone)));
  CHECK(bound->name() == alone->name());
  CHECK(bound->rate({.step = 1, .total = 10}) == alone->rate({.step = 1, .total = 10}));
}

TEST_CASE("a table of one's own sees the model, and rules without one are bound as ever") {
  auto const table = [](ModelFacts const& m) { return groups(otherwise({.rate = 256.0 / m.width})); };
  CHECK(factors(*bind(grouped(rule(), table), model_facts(plain)))[0].rate == 0.5);
  CHECK((factors(*bind(rule(), model_facts(scaled))) == factors(*bind(rule()))));
  auto const map = groups(on<Kind::norm>({.decay = 0}), otherwise());
  CHECK((factors(*bind(grouped(rule(), map), model_facts(scaled))) == factors(*bind(grouped(rule(), map)))));
}
