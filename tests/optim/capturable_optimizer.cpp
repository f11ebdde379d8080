// SPDX-License-Identifier: Apache-2.0
// Capturable steps with the kernels' threads on the host: what the fused pass does. tests/cuda repeats it on a GPU.
#include "lierne/optim/capturable_optimizer.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/schedule_free.hpp"
#include "optim/kernel/on_host.hpp"
#include "optim/kernel/rules.hpp"

using namespace lierne;

static_assert(std::is_base_of_v<Optimizer, CapturableOptimizer>);

namespace {

void* no_stream(Device) { return nullptr; }

Schedule schedule() {
  return [](std::int64_t step, std::int64_t) { return 1.0 / static_cast<double>(step + 1); };
}

template <class Rule>
CapturableOptimizer on_host(Rule const& rule) {
  static CudaRule const kernels = test::host_rule<Rule>();
  auto const passes = [&] { return std::unique_ptr<Passes const>(new PassesOf<Rule>(rule)); };
  return {passes(), std::make_unique<RuleOptimizer>(passes(), Schedule{}, Path::loop), schedule(), kernels, no_stream};
}

std::vector<Slot> parameters() {
  std::vector<Slot> slots;
  for (auto dtype : {float32, float64}) {
    for (Shape const& shape : {Shape{5, 7}, Shape{}, Shape{0}, Shape{41}}) {
      auto const weight = (at::arange(elements(shape), at::TensorOptions().dtype(dtype)) * 0.37).sin().view(shape);
      slots.push_back({.name = "w" + std::to_string(slots.size()), .weight = weight,
                       .multipliers = {.rate = slots.size() == 1 ? 0.5 : 1.0}});
    }
  }
  return slots;
}

void give_gradients(std::vector<Slot>& slots, std::int64_t step) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (i == 3 && step < 2) continue;  // joins late, and counts its own calls
    auto const& weight = slots[i].weight;
    slots[i].weight.mutable_grad() = (at::arange(weight.numel(), weight.options()) * 0.7 + step).cos().view(weight.sizes());
  }
}

bool same(Tensor const& a, Tensor const& b) { return at::equal(a, b); }

}  // namespace

TEST_CASE("the same bits as the fused pass, for every rule, with a schedule and a late parameter") {
  test::for_each_rule([](auto const& rule) {
    CAPTURE(name(rule));
    auto here = parameters(), there = parameters();
    RuleOptimizer expected(std::make_unique<PassesOf<std::remove_cvref_t<decltype(rule)>>>(rule), schedule(), Path::fused);
    auto got = on_host<std::remove_cvref_t<decltype(rule)>>(rule);
    for (std::int64_t step = 0; step < 6; ++step) {
      give_gradients(here, step);
      give_gradients(there, step);
      // One norm for both: its sum runs in another order on the device.
      std::vector<Tensor> gradients;
      for (auto const& slot : here) if (slot.weight.grad().defined()) gradients.push_back(slot.weight.grad());
      auto const norm = at::stack(at::_foreach_norm(gradients, 2, float64)).square().sum().sqrt().template item<double>();
      auto const report = expected.step(here, {.step = step, .grad_norm = norm});
      auto const captured = got.step(there, {.step = step});
      CHECK(captured.updated == report.updated);
      CHECK(captured.rate == report.rate);
      CHECK(std::isnan(captured.grad_norm));
    }
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(same(here[i].weight, there[i].weight));
    auto const state = got.state();
    for (auto const& [key, tensor] : expected.state()) CHECK(same(tensor, state.at(key)));
  });
}

TEST_CASE("a replay counts on by itself and follows set_step") {
  auto const rule = adopt({.rate = 0.1}) | decay(0.1, times_rate);
  auto replayed = on_host(rule), direct = on_host(rule);
  auto there = parameters(), here = parameters();
  for (std::int64_t step = 0; step < 5; ++step) {
    give_gradients(here, step + 2);
    give_gradients(there, step + 2);
    direct.step(here, {.step = step});
    // Captured, the step may not touch the rate: a replay would repeat it. What set_step wrote before holds.
    if (step > 0) replayed.set_step({.step = step});
    test::capturing_on_host = step > 0;
    replayed.step(there, {.step = 1000 * step});
    test::capturing_on_host = false;
  }
  for (std::size_t i = 0; i < here.size(); ++i) CHECK(same(here[i].weight, there[i].weight));
  CHECK(replayed.state().at("optim.state.w0.step").item<float>() == 5);
}

TEST_CASE("a run that is saved and loaded in its middle goes on bit for bit") {
  auto const rule = adamw({.rate = 0.1});
  auto whole = on_host(rule), first = on_host(rule), second = on_host(rule);
  auto expected = parameters(), slots = parameters();
  for (std::int64_t step = 0; step < 6; ++step) {
    give_gradients(expected, step);
    give_gradients(slots, step);
    whole.step(expected, {.step = step});
    if (step == 3) {
      auto const report = second.load_state(first.state());
      CHECK(report.missing.empty());
      CHECK(report.extra.empty());
      CHECK(second.loads() == 1);
    }
    (step < 3 ? first : second).step(slots, {.step = step});
  }
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(same(expected[i].weight, slots[i].weight));
}

TEST_CASE("carried numbers count on the device, are saved and loaded, and averages judge") {
  auto const rule = schedule_free_adamw({.rate = 0.05});
  using Rule = std::remove_cvref_t<decltype(rule)>;
  auto here = parameters(), there = parameters();
  RuleOptimizer expected(std::make_unique<PassesOf<Rule>>(rule), schedule(), Path::fused);
  auto first = on_host(rule), second = on_host(rule);
  for (std::int64_t step = 0; step < 6; ++step) {
    give_gradients(here, step);
    give_gradients(there, step);
    expected.step(here, {.step = step});
    if (step == 3) CHECK(second.load_state(first.state()).missing.empty());
    (step < 3 ? first : second).step(there, {.step = step});
  }
  for (std::size_t i = 0; i < here.size(); ++i) CHECK(same(here[i].weight, there[i].weight));
  auto const state = second.state();
  CHECK(state.contains("optim.state.w3.weight_sum"));
  for (auto const& [key, tensor] : expected.state()) CHECK(same(tensor, state.at(key)));
  {
    EvaluationWeights const one(expected, here), other(second, there);
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(same(here[i].weight, there[i].weight));
    CHECK_THROWS_WITH_AS(second.step(there, {}), doctest::Contains("expected the trained weights"), ArgumentError);
  }
}

TEST_CASE("what a capture cannot hold is an error") {
  auto optimizer = on_host(adamw());
  auto slots = parameters();
  CHECK_THROWS_WITH_AS(optimizer.set_step({}), doctest::Contains("set_step needs a device"), ArgumentError);
  give_gradients(slots, 0);
  test::capturing_on_host = true;
  CHECK_THROWS_WITH_AS(optimizer.step(slots, {}), doctest::Contains("expected a step before the capture"), ArgumentError);
  test::capturing_on_host = false;
  optimizer.step(slots, {});
  give_gradients(slots, 2);
  test::capturing_on_host = true;
  CHECK_THROWS_WITH_AS(optimizer.step(slots, {}),
                       "optimizer: 'w3': expected a step before the capture, found its first one in it", ArgumentError);
  test::capturing_on_host = false;
  CHECK_THROWS_WITH_AS(optimizer.step(slots, {.grad_norm = 1.0}), doctest::Contains("numbers of the host"), ArgumentError);
  CHECK_THROWS_WITH_AS(bind_capturable(adamw()), doctest::Contains("no capturable kernels for the rule 'adamw"), ArgumentError);
}
