// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/rule_optimizer.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "optim/stderr.hpp"

using namespace lierne;

namespace {

constexpr Path paths[] = {Path::fused, Path::foreach, Path::loop};

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2, .beta2 = 0.95}) | decay(0.1, times_rate); }

/// Parameters of odd shapes: a matrix, a scalar, nothing, and one whose gradient is not contiguous.
std::vector<Slot> parameters(Dtype dtype) {
  auto const options = at::TensorOptions().dtype(dtype);
  return {{.name = "matrix", .weight = at::arange(35, options).reshape({5, 7}) / 10},
          {.name = "scalar", .weight = at::full({}, 0.5, options)},
          {.name = "empty", .weight = at::empty({0, 3}, options)},
          {.name = "turned", .weight = at::arange(12, options).reshape({3, 4}) / 7}};
}

void give_gradients(std::vector<Slot>& slots, int step) {
  for (auto& slot : slots) {
    if (slot.name == "scalar" && step % 3 == 0) continue;  // absent now and then
    auto const dtype = slot.weight.scalar_type();
    auto gradient = (slot.weight * 3 + step).sin();
    if (slot.name == "turned") gradient = gradient.t().contiguous().t();
    slot.weight.mutable_grad() = gradient.to(dtype);
  }
}

std::vector<Slot> after(Optimizer& optimizer, std::vector<Slot> slots, int from, int to) {
  for (int step = from; step < to; ++step) {
    give_gradients(slots, step);
    optimizer.step(slots, {.step = step, .total = 100});
  }
  return slots;
}

}  // namespace

TEST_CASE("the three paths do the same") {
  for (auto const dtype : {float64, float32}) {
    auto const expected = after(*bind(rule(), Path::loop), parameters(dtype), 0, 12);
    for (auto const path : paths) {
      auto const got = after(*bind(rule(), path), parameters(dtype), 0, 12);
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(got[i].name);
        auto const away = (got[i].weight - expected[i].weight).abs().to(float64);
        if (away.numel() > 0) CHECK(away.max().item<double>() <= (dtype == float64 ? 1e-12 : 2e-6));
      }
    }
  }
}

TEST_CASE("a step that the caller refuses, or that its question ends, moves nothing and keeps gradients") {
  auto const grouped_rule = scheduled(rule(), warmup(3), groups(on<Kind::matrix>(clip_norm(1.0) | lion({.rate = 1e-3})), otherwise()));
  for (auto const path : paths) {
    for (int kind = 0; kind < 2; ++kind) {
      auto const optimizer = kind == 0 ? bind(rule(), path) : bind(grouped_rule, path);
      auto slots = after(*optimizer, parameters(float64), 0, 2);
      give_gradients(slots, 2);
      std::vector<Tensor> weights, gradients;
      double squares = 0;
      for (auto const& slot : slots) {
        weights.push_back(slot.weight.clone());
        gradients.push_back(slot.weight.grad());
        if (gradients.back().defined()) squares += gradients.back().square().sum().item<double>();
      }
      auto const state = optimizer->state().at("optim.state.matrix.step").item<double>();
      double asked = 0;
      auto const report = optimizer->step(slots, {.step = 2, .total = 100, .accept = [&](double norm) { return asked = norm, false; }});
      CHECK(report.refused);
      CHECK(report.updated == 0);
      CHECK(asked == doctest::Approx(std::sqrt(squares)).epsilon(1e-12));
      CHECK(report.grad_norm == asked);
      StepContext const throws{.step = 2, .total = 100, .accept = [](double) -> bool { throw NumericError("no"); }};
      CHECK_THROWS_AS(optimizer->step(slots, throws), NumericError);
      for (std::size_t i = 0; i < slots.size(); ++i) {
        CHECK(slots[i].weight.equal(weights[i]));
        CHECK(slots[i].weight.grad().defined() == gradients[i].defined());
      }
      CHECK(optimizer->state().at("optim.state.matrix.step").item<double>() == state);
      // Accepted, it is the step without the question.
      auto const plain = kind == 0 ? bind(rule(), path) : bind(grouped_rule, path);
      auto expected = after(*plain, parameters(float64), 0, 3);
      optimizer->step(slots, {.step = 2, .total = 100, .accept = [](double) { return true; }});
      for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i].weight.equal(expected[i].weight));
    }
  }
}

TEST_CASE("a run that is saved and loaded in its middle goes on bit for bit") {
  for (auto const path : paths) {
    auto const through = after(*bind(rule(), path), parameters(float32), 0, 10);
    auto first = bind(rule(), path);
    auto const middle = after(*first, parameters(float32), 0, 5);
    auto second = bind(rule(), path);
    auto const report = second->load_state(first->state());
    CHECK(report.missing.empty());
    CHECK(report.extra.empty());
    auto const ended = after(*second, middle, 5, 10);
    for (std::size_t i = 0; i < ended.size(); ++i) CHECK(ended[i].weight.equal(through[i].weight));
  }
}

TEST_CASE("a parameter without gradient is left alone and counts no call") {
  auto optimizer = bind(rule());
  auto slots = after(*optimizer, parameters(float64), 0, 1);  // step 0 gives the scalar none
  CHECK(slots[1].weight.item<double>() == 0.5);
  auto const state = optimizer->state();
  CHECK(state.at("optim.state.matrix.step").item<double>() == 1);
  CHECK_FALSE(state.contains("optim.state.scalar.exp_avg"));
}

TEST_CASE("the state of another rule tells what fits") {
  auto adam = bind(adamw());
  after(*adam, parameters(float64), 0, 2);
  auto other = bind(amsgrad());
  auto const report = other->load_state(adam->state());
  CHECK_FALSE(report.kept.empty());
  CHECK(std::find(report.missing.begin(), report.missing.end(), "optim.state.matrix.max_exp_avg_sq") != report.missing.end());
  auto back = bind(adamw());
  auto state = adam->state();
  state["optim.state.matrix.momentum_buffer"] = at::zeros({1});
  CHECK(back->load_state(state).extra == std::vector<std::string>{"optim.state.matrix.momentum_buffer"});
}

TEST_CASE("what cannot be a slot is named before anything moves") {
  auto const refuses = [](Slot bad, char const* words) {
    auto optimizer = bind(rule());
    std::vector<Slot> slots{{.name = "good", .weight = at::ones({2})}, std::move(bad)};
    slots[0].weight.mutable_grad() = at::ones({2});
    CHECK_THROWS_WITH_AS(optimizer->step(slots, {}), doctest::Contains(words), Error);
    CHECK(slots[0].weight.equal(at::ones({2})));
  };
  refuses({.name = "none"}, "'none': its weight is undefined");
  Slot half{.name = "half", .weight = at::ones({2}, at::kHalf)};
  half.weight.mutable_grad() = at::ones({2}, at::kHalf);
  refuses(half, "'half': expected a weight of float32 or float64");
  Slot strided{.name = "strided", .weight = at::ones({4, 4}).t().narrow(0, 0, 2)};
  strided.weight.mutable_grad() = at::ones({2, 4});
  refuses(strided, "'strided': expected a contiguous weight");
  Slot twice{.name = "good", .weight = at::ones({2})};
  twice.weight.mutable_grad() = at::ones({2});
  refuses(twice, "two slots are named 'good'");
  CHECK_THROWS_WITH_AS(bind(rule())->load_state({{"model.weight", at::ones({1})}}),
                       doctest::Contains("expected a state key"), ArgumentError);
}

TEST_CASE("a slot without a fused pass takes the foreach path, which is said once, or is an error") {
  auto const slot_on = [](Device device) {
    Slot slot{.name = "w", .weight = at::zeros({3}, at::TensorOptions().device(device))};
    slot.weight.mutable_grad() = at::ones_like(slot.weight);
    return std::vector<Slot>{slot};
  };
  auto const optimizer = bind(adamw());
  auto const said = test::said_on_stderr([&] {
    for (int i = 0; i < 2; ++i) CHECK(optimizer->step(slot_on(at::kMeta), {}).updated == 1);
  });
  CHECK(said.find("no fused pass on meta for the rule 'adamw") != std::string::npos);
  CHECK(said.find("no fused pass") == said.rfind("no fused pass"));

  auto const strict = bind(adamw(), Path::fused_only);
  CHECK(strict->step(slot_on(at::kCPU), {}).updated == 1);
  CHECK_THROWS_WITH_AS(strict->step(slot_on(at::kMeta), {}),
                       doctest::Contains("optimizer: no fused pass on meta for the rule 'adamw"), ArgumentError);
}
