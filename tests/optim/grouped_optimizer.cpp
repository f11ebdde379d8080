// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/grouped_optimizer.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "stderr.hpp"

using namespace lierne;

namespace {

std::vector<Slot> parameters() {
  auto const options = at::TensorOptions().dtype(float64);
  return {{.name = "embedding", .weight = at::arange(12, options).reshape({4, 3}) / 7, .kind = Kind::embedding},
          {.name = "matrix", .weight = at::arange(6, options).reshape({2, 3}) / 5},
          {.name = "norm", .weight = at::ones({3}, options), .kind = Kind::norm}};
}

Tensor gradient(Slot const& slot, int step) { return (slot.weight * 3 + step).sin(); }

void run(Optimizer& optimizer, std::vector<Slot>& slots, int from, int to) {
  for (int step = from; step < to; ++step) {
    for (auto& slot : slots) slot.weight.mutable_grad() = gradient(slot, step);
    optimizer.step(slots, {.step = step, .total = 100, .measure_norm = true});
  }
}

/// One parameter alone under a rule.
Tensor alone(std::unique_ptr<Optimizer> optimizer, std::size_t index, Multipliers multipliers = {}) {
  std::vector<Slot> slots{parameters()[index]};
  slots[0].multipliers = multipliers;
  run(*optimizer, slots, 0, 6);
  return slots[0].weight;
}

auto main_rule() { return adamw({.rate = 0.01}) | decay(0.1, times_rate); }
auto other_rule() { return recipe("averaged", 0.02, momentum()) | decay(0.3, times_rate); }

Groups two_rules() {
  return groups(on<Kind::matrix>(other_rule(), {.rate = 0.5}), on<Kind::norm>({.decay = 0, .epsilon = 100}), otherwise());
}

}  // namespace

TEST_CASE("every parameter does what it does alone under its group's rule and factors") {
  auto const schedule = warmup(3) | cosine_to(0.1);
  for (auto const path : {Path::fused, Path::foreach, Path::loop}) {
    auto slots = parameters();
    run(*bind(scheduled(main_rule(), schedule, two_rules()), path), slots, 0, 6);
    CHECK(slots[0].weight.equal(alone(bind(scheduled(main_rule(), schedule), path), 0)));
    CHECK(slots[1].weight.equal(alone(bind(scheduled(other_rule(), schedule), path), 1, {.rate = 0.5})));
    CHECK(slots[2].weight.equal(alone(bind(scheduled(main_rule(), schedule), path), 2, {.decay = 0, .epsilon = 100})));
    CHECK_FALSE(slots[2].weight.equal(alone(bind(scheduled(main_rule(), schedule), path), 2)));
  }
}

TEST_CASE("the norm that clips is that of all gradients, whichever rule clips") {
  auto slots = parameters();
  auto const optimizer = bind(grouped(main_rule(), groups(on<Kind::matrix>(clip_norm(0.5) | other_rule()), otherwise())));
  double squares = 0;
  for (auto& slot : slots) {
    slot.weight.mutable_grad() = gradient(slot, 0);
    squares += slot.weight.grad().square().sum().item<double>();
  }
  auto const start = slots[1].weight.clone();
  auto const raw = slots[1].weight.grad().clone();
  auto const report = optimizer->step(slots, {});
  CHECK(report.grad_norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-14));
  CHECK(report.clipped);
  CHECK(report.updated == 3);
  CHECK(report.rate == 0.01);
  auto const expected = start * (1 - 0.02 * 0.3) - 0.02 * raw * (0.5 / (std::sqrt(squares) + 1e-6));
  CHECK((slots[1].weight - expected).abs().max().item<double>() < 1e-15);
}

TEST_CASE("a run that is saved and loaded in its middle goes on bit for bit") {
  auto through = parameters();
  run(*bind(grouped(main_rule(), two_rules())), through, 0, 8);
  auto slots = parameters();
  auto first = bind(grouped(main_rule(), two_rules()));
  run(*first, slots, 0, 4);
  auto second = bind(grouped(main_rule(), two_rules()));
  auto const report = second->load_state(first->state());
  CHECK(report.extra.empty());
  CHECK(report.missing.empty());
  CHECK(report.kept.size() == first->state().size());
  CHECK(second->state().size() == first->state().size());  // also before its first step
  run(*second, slots, 4, 8);
  for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i].weight.equal(through[i].weight));
  auto const again = first->load_state(second->state());  // into one that has stepped
  CHECK(again.kept.size() == report.kept.size());
}

TEST_CASE("two rules with the same fields keep their parameters apart when loaded") {
  auto const map = groups(on<Kind::matrix>(adamw({.rate = 0.5})), otherwise());
  auto through = parameters(), slots = parameters();
  run(*bind(grouped(adamw(), map)), through, 0, 6);
  auto first = bind(grouped(adamw(), map)), second = bind(grouped(adamw(), map));
  run(*first, slots, 0, 3);
  second->load_state(first->state());
  run(*second, slots, 3, 6);
  for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i].weight.equal(through[i].weight));
}

TEST_CASE("a parameter that joins late finds its group") {
  auto const optimizer = bind(grouped(main_rule(), two_rules()));
  auto slots = parameters();
  std::vector<Slot> two(slots.begin() + 1, slots.end());
  run(*optimizer, two, 0, 2);
  run(*optimizer, slots, 0, 1);
  CHECK(optimizer->state().at("optim.state.embedding.step").item<double>() == 1);
  CHECK(optimizer->state().at("optim.state.matrix.step").item<double>() == 3);
}

TEST_CASE("the shape of a cut parameter is that of the whole") {
  auto const optimizer = bind(grouped(main_rule(), groups(on<Kind::matrix>({.rate = 2}), on<Kind::vector>({.rate = 3}))));
  std::vector<Slot> slots{{.name = "cut", .weight = at::ones({6}, float64), .shape = {2, 6}},
                          {.name = "whole", .weight = at::ones({6}, float64)}};
  for (auto& slot : slots) slot.weight.mutable_grad() = at::ones({6}, float64);
  optimizer->step(slots, {});
  double const moved = (1 - 0.001 * 2 * 1) - slots[0].weight[0].item<double>();
  CHECK(moved == doctest::Approx(0.01 * 2).epsilon(1e-6));
  CHECK(1 - 0.001 * 3 - slots[1].weight[0].item<double>() == doctest::Approx(0.01 * 3).epsilon(1e-6));
}

TEST_CASE("its name tells the groups") {
  CHECK(bind(grouped(main_rule(), groups(on<Kind::norm>({.decay = 0}), otherwise())))->name() ==
        name(main_rule()) + "; groups: [norm] decay x 0, [otherwise]");
}

TEST_CASE("nothing moves when a slot cannot be updated") {
  auto const optimizer = bind(grouped(main_rule(), two_rules()));
  auto slots = parameters();
  for (auto& slot : slots) slot.weight.mutable_grad() = gradient(slot, 0);
  slots[1].weight = at::ones({2, 3}, at::kHalf);
  slots[1].weight.mutable_grad() = at::ones({2, 3}, at::kHalf);
  CHECK_THROWS_WITH_AS(optimizer->step(slots, {}), doctest::Contains("'matrix': expected a weight of float32"), ShapeError);
  CHECK(slots[0].weight.equal(parameters()[0].weight));
  slots[1] = slots[0];
  CHECK_THROWS_WITH_AS(optimizer->step(slots, {}), doctest::Contains("two slots are named 'embedding'"), ArgumentError);
}

TEST_CASE("a group without parameters, and a decay that is stronger than it looks, are said") {
  auto slots = parameters();
  CHECK(test::said_on_stderr([&] {
          run(*bind(grouped(main_rule(), groups(on(named("wq"), {.rate = 2}), otherwise()))), slots, 0, 2);
        }) == "lierne: groups: no parameter is in the group ['wq']\n");
  CHECK(test::said_on_stderr([] { bind(adamw() | decay(0.1, times_schedule)); })
            .starts_with("lierne: decay(0.1, times_schedule) takes 0.1 of every weight away in each step"));
  CHECK(test::said_on_stderr([] { bind(adamw() | decay(0.009, times_schedule)); }) == "");
  CHECK(test::said_on_stderr([] { bind(adamw() | decay(0.1, times_rate)); }) == "");
}
