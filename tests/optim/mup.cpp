// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/mup.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lierne/optim/optim.hpp"
#include "lierne/spec/with.hpp"

using namespace lierne;

static_assert(MupGroups<DecayForm::times_rate>::check_rule<decltype(adamw() | decay(0.1, times_rate))>());
static_assert(MupGroups<DecayForm::times_schedule>::check_rule<decltype(clip_norm(1) | adopt() | decay(1e-4, times_schedule))>());
static_assert(MupGroups<DecayForm::times_rate>::check_rule<decltype(qhadamw())>());

namespace {

Multipliers of(Groups const& groups, std::string const& name, Shape const& shape, Kind kind = Kind::by_shape) {
  return groups.all[groups.of({name, shape, kind_of(kind, shape.size())})].multipliers;
}

Kind declared(std::string const& name) {
  return name.find("norm") != std::string::npos ? Kind::norm
         : name.starts_with("tok_embeddings")   ? Kind::embedding
         : name.starts_with("output")           ? Kind::output
                                                : Kind::by_shape;
}

}  // namespace

TEST_CASE("the fork's table is the fork's, group by group") {
  auto const recorded = nlohmann::json::parse(std::ifstream(std::string(LIERNE_GOLDEN) + "/optim/mup_groups.json"));
  auto const table = mup_groups(times_rate, {.width = 2, .depth = 2, .epsilon = MupEpsilon::fork}).groups;
  auto const& base = recorded.at("base");
  int compared = 0;
  for (auto const& [name, entry] : recorded.at("groups").items()) {
    CAPTURE(name);
    auto const m = of(table, name, declared(name) == Kind::norm ? Shape{64} : Shape{64, 64}, declared(name));
    CHECK(base.at("lr").get<double>() * m.rate == doctest::Approx(entry.at("lr").get<double>()).epsilon(1e-14));
    CHECK(base.at("weight_decay").get<double>() * m.decay == doctest::Approx(entry.at("weight_decay").get<double>()).epsilon(1e-14));
    CHECK(base.at("eps").get<double>() * m.epsilon == doctest::Approx(entry.at("eps").get<double>()).epsilon(1e-14));
    ++compared;
  }
  CHECK(compared > 20);
}

TEST_CASE("the corrected epsilon falls with depth in blocks alone") {
  auto const table = mup_groups(times_rate, {.width = 8, .depth = 3, .exponent = 0.5}).groups;
  double const d = std::pow(3, -0.5);
  CHECK(of(table, "tok_embeddings.weight", {32, 8}, Kind::embedding) == Multipliers{.epsilon = 1. / 8});
  CHECK(of(table, "output.weight", {32, 8}, Kind::output) == Multipliers{.epsilon = 1. / 8});
  CHECK(of(table, "norm.weight", {8}, Kind::norm) == Multipliers{.decay = 0, .epsilon = 1. / 8});
  CHECK(of(table, "layers.0.wq.weight", {8, 8}) == Multipliers{.rate = d / 8, .decay = 8, .epsilon = d / 8});
  CHECK(of(table, "layers.0.mixer.decay", {8}) == Multipliers{.rate = d, .decay = 0, .epsilon = d / 8});
  auto const flat = mup_groups(times_rate, {.width = 8, .depth = 3, .scales_depth = false}).groups;
  CHECK(of(flat, "layers.0.wq.weight", {8, 8}) == Multipliers{.rate = 1. / 8, .decay = 8, .epsilon = 1. / 8});
  auto const kept = mup_groups(times_rate, {.width = 8, .depth = 3, .epsilon = MupEpsilon::kept}).groups;
  CHECK(of(kept, "layers.0.wq.weight", {8, 8}).epsilon == 1);
}

TEST_CASE("decay per step of a hidden matrix is that of the base model, in both forms") {
  MupSettings const size{.width = 8};
  auto const shrinks = [&](auto rule) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "layers.0.w1.weight", .weight = at::ones({2, 2}, float64)}};
    slots[0].weight.mutable_grad() = at::zeros({2, 2}, float64);
    optimizer->step(slots, {.total = 1});
    return 1 - slots[0].weight[0][0].item<double>();
  };
  auto const full = [](std::int64_t, std::int64_t) { return 1.0; };
  // Without muP: η λ = 1e-3 and λ = 0.005.
  CHECK(shrinks(scheduled(adamw({.rate = 0.01}) | decay(0.1, times_rate), full, mup_groups(times_rate, size))) ==
        doctest::Approx(1e-3).epsilon(1e-12));
  CHECK(shrinks(scheduled(adamw({.rate = 0.01}) | decay(0.005, times_schedule), full, mup_groups(times_schedule, size))) ==
        doctest::Approx(0.005).epsilon(1e-12));
}

TEST_CASE("a record says its own width and depth") {
  constexpr Decoder spec{.layers = 6, .width = 96, .vocab = 8, .scaling = MuP{.base_width = 24, .base_layers = 2, .exponent = 0.5}};
  auto const same = [](Groups const& a, Groups const& b) {
    REQUIRE(a.all.size() == b.all.size());
    for (std::size_t i = 0; i < a.all.size(); ++i) CHECK((a.all[i].multipliers == b.all[i].multipliers));
  };
  same(mup_groups(times_rate, spec).groups, mup_groups(times_rate, {.width = 4, .depth = 3, .exponent = 0.5}).groups);
  same(mup_groups(times_rate, with(spec, MuP{.base_width = 24}), MupEpsilon::kept).groups,
       mup_groups(times_rate, {.width = 4, .scales_depth = false, .epsilon = MupEpsilon::kept}).groups);
}

TEST_CASE("a base model needs no table") {
  for (auto const& group : mup_groups(times_schedule, MupSettings{}).groups.all) {
    CHECK(group.multipliers.rate == 1);
    CHECK(group.multipliers.epsilon == 1);
  }
}

TEST_CASE("multipliers that are no sizes are refused") {
  CHECK_THROWS_WITH_AS(mup_groups(times_rate, {.width = 0}), "mup_groups: width and depth must be positive, found 0 and 1",
                       ArgumentError);
}
