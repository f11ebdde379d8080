// SPDX-License-Identifier: Apache-2.0
// Accumulated steps against steps on the mean of the gradients.
#include "lierne/optim/accumulating_optimizer.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

static_assert(std::is_base_of_v<Optimizer, AccumulatingOptimizer>);

constexpr Path paths[] = {Path::fused, Path::foreach, Path::loop};
constexpr int window = 4;  // a power of two: the mean is exact

std::vector<Slot> parameters(Dtype dtype = float32) {
  return {{.name = "a.weight", .weight = at::linspace(-1, 1, 23, dtype)},
          {.name = "b.weight", .weight = at::linspace(0, 3, 12, dtype).view({3, 4})},
          {.name = "c.weight", .weight = at::full({}, 0.5, dtype)}};
}

// Of call k: a in all calls, b turned and in the even ones, c in the first call of every other window.
Tensor gradient_of(std::vector<Slot> const& slots, std::size_t i, int k) {
  auto const& weight = slots[i].weight;
  if (i == 1 && k % 2 == 1) return {};
  if (i == 2 && k % (2 * window) != 0) return {};
  auto gradient = (weight * 2 + k).sin();
  return i == 1 ? gradient.t().contiguous().t() : gradient;
}
void give(std::vector<Slot>& slots, int k) {
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i].weight.mutable_grad() = gradient_of(slots, i, k);
}

// The same by hand: sums in order, then one step on them times 1/4.
StepReport step_on_means(Optimizer& optimizer, std::vector<Slot>& slots, int step, int steps) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    Tensor sum;
    for (int k = step * window; k < (step + 1) * window; ++k) {
      auto const gradient = gradient_of(slots, i, k);
      if (gradient.defined()) sum = sum.defined() ? sum + gradient : gradient;
    }
    if (sum.defined()) slots[i].weight.mutable_grad() = sum * (1.0 / window);
  }
  return optimizer.step(slots, {.step = step, .total = steps, .measure_norm = true});
}

template <class Rule, class Plain>
void equals_means(Rule const& rule, Plain const& plain) {
  for (auto const path : paths) {
    auto const optimizer = bind(rule, path), expected = bind(plain, path);
    auto slots = parameters(), others = parameters();
    for (int step = 0; step < 5; ++step) {
      auto const by_hand = step_on_means(*expected, others, step, 5);
      for (int k = step * window; k < (step + 1) * window; ++k) {
        give(slots, k);
        auto const report = optimizer->step(slots, {.step = k, .total = 5 * window, .measure_norm = true});
        CHECK(report.rate == by_hand.rate);
        CHECK(report.accumulated == (k % window != window - 1));
        for (auto const& slot : slots) CHECK_FALSE(slot.weight.grad().defined());
        if (report.accumulated) {
          CHECK(report.updated == 0);
          continue;
        }
        CHECK(report.updated == by_hand.updated);
        CHECK(report.grad_norm == doctest::Approx(by_hand.grad_norm).epsilon(1e-12));
        CHECK(report.clipped == by_hand.clipped);
      }
      for (std::size_t i = 0; i < slots.size(); ++i) {
        if (by_hand.clipped) {  // the factor is that of a norm whose last digits are another sum's
          CHECK((slots[i].weight - others[i].weight).abs().max().item<double>() <= 5e-7);
        } else {
          CHECK(slots[i].weight.equal(others[i].weight));
        }
      }
    }
    auto const state = optimizer->state();
    for (auto const& [key, tensor] : expected->state()) {
      if (key.ends_with(".step")) CHECK(tensor.equal(state.at(key)));
    }
    CHECK(state.size() == expected->state().size());
  }
}

}  // namespace

TEST_CASE("a window of calls is one step on the mean of their gradients") {
  equals_means(accumulate(window) | adamw({.rate = 0.01}) | decay(0.1, times_rate), adamw({.rate = 0.01}) | decay(0.1, times_rate));
  equals_means(scheduled(accumulate(window) | clip_norm(0.5) | adopt({.rate = 0.01}), warmup(3) | cosine_to(0.1)),
               scheduled(clip_norm(0.5) | adopt({.rate = 0.01}), warmup(3) | cosine_to(0.1)));
  auto const map = [] { return groups(on(named("b.*"), lion({.rate = 0.01})), otherwise({.rate = 2})); };
  equals_means(grouped(accumulate(window) | adamw({.rate = 0.01}), map()), grouped(adamw({.rate = 0.01}), map()));
}

TEST_CASE("a run that is saved and loaded within a window goes on bit for bit") {
  auto const rule = accumulate(window) | clip_norm(0.5) | adamw({.rate = 0.01});
  for (int const cut : {1, 6, 8, 11}) {
    auto const whole = bind(rule), first = bind(rule), second = bind(rule);
    auto slots = parameters(), others = parameters();
    for (int k = 0; k < 20; ++k) {
      give(slots, k);
      whole->step(slots, {.step = k});
      give(others, k);
      if (k == cut) {
        std::map<std::string, Tensor> saved;
        for (auto const& [key, tensor] : first->state()) saved[key] = tensor.clone();
        auto const report = second->load_state(saved);
        CHECK(report.missing.empty());
        CHECK(report.extra.empty());
        CHECK(report.kept.size() == saved.size());
      }
      (k < cut ? first : second)->step(others, {.step = k});
    }
    for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i].weight.equal(others[i].weight));
  }
}

TEST_CASE("sums take nobody's gradient for their own") {
  auto const optimizer = bind(accumulate(2) | plain_sgd(1));
  std::vector<Slot> slots{{.name = "w", .weight = at::zeros({4})}};
  auto const buffer = at::ones({8});
  auto const mine = buffer.narrow(0, 4, 4);
  slots[0].weight.mutable_grad() = mine;
  optimizer->step(slots, {});
  buffer.zero_();
  slots[0].weight.mutable_grad() = at::full({4}, 3.0);
  optimizer->step(slots, {});
  CHECK(slots[0].weight.equal(at::full({4}, -2.0)));
  CHECK(mine.equal(at::zeros({4})));
}

TEST_CASE("one infinite gradient of a window leaves the whole step out and the next window is clean") {
  auto const optimizer = bind(accumulate(2) | unscale() | plain_sgd(1));
  std::vector<Slot> slots{{.name = "w", .weight = at::zeros({4})}};
  auto const call = [&](double gradient, int k) {
    slots[0].weight.mutable_grad() = at::full({4}, gradient);
    return optimizer->step(slots, {.step = k, .loss_scale = 2});
  };
  CHECK(call(std::numeric_limits<double>::infinity(), 0).accumulated);
  CHECK(call(1, 1).skipped);
  CHECK(slots[0].weight.equal(at::zeros({4})));
  CHECK_FALSE(call(4, 2).skipped);
  CHECK(call(8, 3).updated == 1);
  CHECK(slots[0].weight.equal(at::full({4}, -3.0)));  // (4 + 8) / (2 · 2)
}

TEST_CASE("calls and states that do not fit are errors") {
  auto const optimizer = bind(accumulate(2) | plain_sgd(1) | ema(0.5));
  std::vector<Slot> slots{{.name = "w", .weight = at::zeros({4})}};
  slots[0].weight.mutable_grad() = at::ones({4});
  optimizer->step(slots, {});
  auto state = optimizer->state();
  CHECK_THROWS_WITH_AS(optimizer->step({}, {}), doctest::Contains("'w' has accumulated gradients"), ArgumentError);
  auto const wide = bind(accumulate(4) | plain_sgd(1) | ema(0.5));
  CHECK(wide->load_state(state).extra.empty());
  state["optim.state.w.accumulated_calls"] = at::full({}, 5, int64);
  CHECK_THROWS_WITH_AS(wide->load_state(state), doctest::Contains("expected less than 4 calls, found 5"), ArgumentError);
  state.erase("optim.state.w.accumulated_calls");
  CHECK_THROWS_WITH_AS(wide->load_state(state), doctest::Contains("accumulated_calls' beside accumulated gradients"), ArgumentError);
  slots[0].weight.mutable_grad() = at::ones({5});
  CHECK_THROWS_AS(wide->step(slots, {}), ShapeError);
  auto const judged = bind(accumulate(2) | plain_sgd(1) | ema(0.5));
  EvaluationWeights const guard(*judged, slots);
  CHECK_THROWS_WITH_AS(judged->step(slots, {}), doctest::Contains("expected the trained weights in place"), ArgumentError);
}
