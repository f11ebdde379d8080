// SPDX-License-Identifier: Apache-2.0
// The three points of Schedule-Free against the paper's own recursion for x, y and z; against pytorch-optimizer in
// peers.cpp.
#include "lierne/optim/schedule_free.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

using Rule = decltype(schedule_free_adamw());
static_assert(Layout<Rule>::fields == 2 && Layout<Rule>::carried == 2);
static_assert(carried_names<Rule>()[0] == "weight_sum" && carried_names<Rule>()[1] == "lr_max");
static_assert(carried_names<decltype(plain_sgd() | labelled<"slow">(schedule_free()))>()[0] == "slow_weight_sum");

auto const doubles = at::TensorOptions().dtype(float64);
Tensor gradient_at(Tensor const& weight, int k) { return (weight * 2 + k).sin() + weight; }

// A rate that rises, rests at 0 and falls.
double factor(std::int64_t k, std::int64_t) { return k == 0 ? 0 : k < 4 ? 0.25 * static_cast<double>(k) : 1.0 / static_cast<double>(k); }

struct Points {
  Tensor x, y, z;
};

// Algorithm 1 of the paper for plain gradients: x, y and z side by side.
Points by_the_paper(AverageBy by, double rate, double beta, double decay, int calls) {
  auto const start = at::linspace(-2, 1.5, 13, doubles);
  Points p{start, start, start};
  double sum = 0, largest = 0;
  for (int k = 0; k < calls; ++k) {
    double const here = rate * factor(k, 0);
    largest = std::max(largest, here);
    double const share = std::pow(by == AverageBy::rate ? here : largest, 2);
    sum += share;
    double const c = sum > 0 ? share / sum : 0;
    p.z = p.z - here * (gradient_at(p.y, k) + decay * p.y);
    p.x = (1 - c) * p.x + c * p.z;
    p.y = (1 - beta) * p.z + beta * p.x;
  }
  return p;
}

template <class R>
void equals_the_paper(R const& rule, AverageBy by, double beta, double decay) {
  for (auto const path : {Path::fused, Path::foreach, Path::loop}) {
    auto const optimizer = bind(scheduled(rule, Schedule(factor)), path);
    std::vector<Slot> slots{{.name = "w", .weight = at::linspace(-2, 1.5, 13, doubles)}};
    for (int k = 0; k < 30; ++k) {
      slots[0].weight.mutable_grad() = gradient_at(slots[0].weight, k);
      optimizer->step(slots, {.step = k});
    }
    auto const expected = by_the_paper(by, 0.2, beta, decay, 30);
    auto const away = [](Tensor const& a, Tensor const& b) { return (a - b).abs().max().item<double>(); };
    CHECK(away(slots[0].weight, expected.y) <= 1e-13);
    CHECK(away(optimizer->state().at("optim.state.w.z"), expected.z) <= 1e-13);
    EvaluationWeights const judged(*optimizer, slots);
    CHECK(away(slots[0].weight, expected.x) <= 1e-13);
  }
}

}  // namespace

TEST_CASE("x and y and z are those of the paper, under a schedule that starts with a rate of 0") {
  equals_the_paper(schedule_free_sgd({.rate = 0.2, .beta = 0.9}), AverageBy::largest_rate, 0.9, 0);
  equals_the_paper(schedule_free_sgd({.rate = 0.2, .beta = 0.6, .decay = 0.1}), AverageBy::largest_rate, 0.6, 0.1);
  equals_the_paper(schedule_free_sgd<AverageBy::rate>({.rate = 0.2, .beta = 0.8}), AverageBy::rate, 0.8, 0);
  equals_the_paper(plain_sgd(0.2) | schedule_free({.beta = 0.7}), AverageBy::largest_rate, 0.7, 0);
  equals_the_paper(schedule_free_sgd({.rate = 0.2, .beta = 1}), AverageBy::largest_rate, 1, 0);  // y is x
}

TEST_CASE("a multiplier of the rate scales the steps and not the average") {
  auto const once = schedule_free().weight(3, 0.5), twice = schedule_free().weight(3, 1.0);
  CHECK(twice == 4 * once);  // alike in share and sum
  auto const count = [](ScheduleFree<> const& stage, double rate) {
    std::array<double, 2> carried{};
    double c = 0;
    for (int k = 0; k < 5; ++k) c = stage.coefficients(Call<>{.calls = k, .rate = rate / (k + 1)}, carried)[0];
    return c;
  };
  CHECK(count(schedule_free(), 0.3) == doctest::Approx(count(schedule_free(), 0.6)).epsilon(1e-15));
  CHECK(count(schedule_free(), 0.3) == doctest::Approx(0.2).epsilon(1e-15));
}

TEST_CASE("the carried sum is saved and loaded and a late parameter has its own") {
  auto const first = bind(schedule_free_adamw({.rate = 0.1}));
  std::vector<Slot> slots{{.name = "w", .weight = at::ones({3}, doubles)}, {.name = "late", .weight = at::ones({3}, doubles)}};
  for (int k = 0; k < 6; ++k) {
    for (auto& slot : slots) {
      if (slot.name == "w" || k >= 4) slot.weight.mutable_grad() = at::ones({3}, doubles);
    }
    first->step(slots, {.step = k});
  }
  auto state = first->state();
  CHECK(state.at("optim.state.w.weight_sum").item<double>() == doctest::Approx(0.06).epsilon(1e-14));
  CHECK(state.at("optim.state.late.weight_sum").item<double>() == doctest::Approx(0.02).epsilon(1e-14));
  auto const second = bind(schedule_free_adamw({.rate = 0.1}));
  CHECK(second->load_state(state).missing.empty());
  CHECK(second->state().at("optim.state.w.weight_sum").equal(state.at("optim.state.w.weight_sum")));
  state.erase("optim.state.w.lr_max");
  CHECK(second->load_state(state).missing == std::vector<std::string>{"optim.state.w.lr_max"});
  state["optim.state.w.lr_max"] = at::ones({2});
  CHECK_THROWS_WITH_AS(second->load_state(state), doctest::Contains("'optim.state.w.lr_max': expected one number, found shape [2]"),
                       ShapeError);
}

TEST_CASE("names say what was chosen") {
  CHECK(name(schedule_free({.beta = 0.95, .decay = 0.1})) == "schedule free 0.95 decay 0.1");
  CHECK(name(schedule_free<AverageBy::rate>({.power = 1})) == "schedule free 0.9 weights t^1 rate^2 by rate");
}

TEST_CASE("a beta from which x does not follow is refused") {
  CHECK_THROWS_WITH_AS(schedule_free_sgd({.beta = 0}), doctest::Contains("schedule_free: expected beta above 0 and at most 1, found 0"),
                       ArgumentError);
  CHECK_THROWS_AS(schedule_free_adamw({.beta1 = 1.5}), ArgumentError);
}
