// SPDX-License-Identifier: Apache-2.0
// Steps in the backward pass against the same rule after it: every bit, and how many gradients live on the way.
#include "lierne/optim/backward_optimizer.hpp"

#include <doctest/doctest.h>

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "lierne/optim/optim.hpp"
#include "lierne/tensor/autograd.hpp"

using namespace lierne;

namespace {

static_assert(detail::check_in_backward<decltype(adamw() | decay(0.1, times_rate) | ema(0.9))>());

constexpr int layers = 6;
constexpr std::int64_t width = 64;

std::vector<Slot> chain_of_layers() {
  std::vector<Slot> slots;
  for (int i = 0; i < layers; ++i) {
    auto const weight = (at::arange(width * width).view({width, width}) * (0.37 + i)).sin() / 8;
    slots.push_back({.name = "layers." + std::to_string(i) + ".weight", .weight = weight.clone().requires_grad_()});
  }
  slots.push_back({.name = "unused", .weight = at::ones({3}).requires_grad_()});
  return slots;
}

Tensor loss_of(std::vector<Slot> const& slots, int k) {
  auto x = (at::arange(4 * width).view({4, width}) * 0.11 + k).cos();
  for (int i = 0; i < layers; ++i) x = at::tanh(at::mm(x, slots[static_cast<std::size_t>(i)].weight));
  return x.square().sum();
}

// What lives in memory, and the most at a time.
struct LiveBytes final : c10::MemoryReportingInfoBase {
  std::int64_t now = 0, most = 0;
  void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
    now += size;
    most = std::max(most, now);
  }
  bool memoryProfilingEnabled() const override { return true; }
};

// The most bytes that live in a backward pass above those before it.
std::int64_t bytes_of_backward(std::vector<Slot> const& slots) {
  auto const bytes = std::make_shared<LiveBytes>();
  c10::DebugInfoGuard const guard(c10::DebugInfoKind::PROFILER_STATE, bytes);
  auto const loss = loss_of(slots, 0);
  auto const before = bytes->most = bytes->now;
  backward(loss);
  return bytes->most - before;
}

template <class Rule>
void equals_bind(Rule const& rule) {
  auto here = chain_of_layers(), there = chain_of_layers();
  auto const after = bind(rule);
  auto const inside = bind_in_backward(rule, there);
  for (int k = 0; k < 6; ++k) {
    StepContext const context{.step = k, .total = 10};
    backward(loss_of(here, k));
    auto const expected = after->step(here, context);
    inside->begin(context);
    backward(loss_of(there, k));
    auto const report = inside->end();
    CHECK(report.updated == layers);
    CHECK(report.updated == expected.updated);
    CHECK(report.rate == expected.rate);
    for (auto const& slot : there) CHECK_FALSE(slot.weight.grad().defined());
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(here[i].weight.equal(there[i].weight));
    if (k == 2) {  // a state may come and go between steps
      std::map<std::string, Tensor> saved;
      for (auto const& [key, tensor] : inside->optimizer().state()) saved[key] = tensor.clone();
      CHECK(inside->optimizer().load_state(saved).missing.empty());
    }
  }
  auto const state = inside->optimizer().state();
  for (auto const& [key, tensor] : after->state()) CHECK(tensor.equal(state.at(key)));
}

}  // namespace

TEST_CASE("every weight and state has the bits of the steps behind the pass") {
  equals_bind(adamw({.rate = 0.01}) | decay(0.1, times_rate));
  equals_bind(scheduled(adopt({.rate = 0.01}) | ema(0.9), warmup(3) | cosine_to(0.1)));
  equals_bind(scheduled(adamw({.rate = 0.01}) | decay(0.1, times_rate), warmup(3),
                        groups(on(named("layers.1.*"), {.rate = 3, .decay = 0}), on(named("layers.4.*"), lion({.rate = 1e-3})),
                               otherwise())));
  equals_bind(recipe("cautious", 0.01, momentum() | cautious()));
}

TEST_CASE("one gradient lives at a time") {
  auto slots = chain_of_layers();
  std::int64_t const block = width * width * 4;
  auto const bytes_behind = bytes_of_backward(slots);
  for (auto& slot : slots) slot.weight.mutable_grad().reset();
  CHECK(bytes_behind >= (layers - 1) * block);

  auto const optimizer = bind_in_backward(plain_sgd(0.1), slots);
  std::size_t most_live = 0, seen = 0;
  for (auto& slot : slots) {
    slot.weight.register_hook([&](Tensor const&) {
      std::size_t live = 1;  // this one, about to arrive
      for (auto const& other : slots) live += other.weight.grad().defined();
      most_live = std::max(most_live, live);
      ++seen;
    });
  }
  optimizer->begin({});
  auto const bytes_inside = bytes_of_backward(slots);
  optimizer->end();
  CHECK(seen == layers);
  CHECK(most_live == 1);
  CHECK(bytes_inside <= bytes_behind - (layers - 2) * block);
}

TEST_CASE("micro-batches before begin add up and what they alone reached moves at the end") {
  auto here = chain_of_layers(), there = chain_of_layers();
  auto const after = bind(adamw({.rate = 0.01}));
  auto const inside = bind_in_backward(adamw({.rate = 0.01}), there);
  for (auto* slots : {&here, &there}) {
    backward(loss_of(*slots, 0) + (*slots)[layers].weight.square().sum());
    for (auto const& slot : *slots) CHECK(slot.weight.grad().defined());
    if (slots == &there) inside->begin({});
    backward(loss_of(*slots, 1));
  }
  after->step(here, {});
  CHECK(inside->end().updated == layers + 1);
  for (std::size_t i = 0; i < here.size(); ++i) CHECK(here[i].weight.equal(there[i].weight));
}

TEST_CASE("the norm is that of all gradients, known at the end, and changes no bit") {
  auto here = chain_of_layers(), there = chain_of_layers(), unmeasured = chain_of_layers();
  auto const rule = adamw({.rate = 0.01});
  auto const after = bind(rule);
  BackwardOptimizer inside(*after, there);  // a rule of another owner
  auto const plain = bind_in_backward(rule, unmeasured);
  backward(loss_of(here, 0));
  double squares = 0;
  for (auto const& slot : here) {
    if (slot.weight.grad().defined()) squares += slot.weight.grad().to(float64).square().sum().item<double>();
  }
  inside.begin({.measure_norm = true});
  backward(loss_of(there, 0));
  CHECK(inside.end().grad_norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-12));
  plain->begin({});
  backward(loss_of(unmeasured, 0));
  CHECK(std::isnan(plain->end().grad_norm));
  for (std::size_t i = 0; i < there.size(); ++i) CHECK(there[i].weight.equal(unmeasured[i].weight));
  CHECK(&inside.optimizer() == after.get());
}

TEST_CASE("a call out of turn is an error and the rule is free again when the hooks are gone") {
  auto slots = chain_of_layers();
  {
    auto const optimizer = bind_in_backward(plain_sgd(0.1), slots);
    CHECK_THROWS_WITH_AS(optimizer->end(), doctest::Contains("end: expected begin() before it"), ArgumentError);
    CHECK_THROWS_WITH_AS(optimizer->begin({.grad_norm = 1.0}), doctest::Contains("has no gradient norm before its end"), ArgumentError);
    CHECK_THROWS_WITH_AS(optimizer->begin({.accept = [](double) { return true; }}), doctest::Contains("use bind"), ArgumentError);
    optimizer->begin({});
    CHECK_THROWS_WITH_AS(optimizer->begin({}), doctest::Contains("found a second begin"), ArgumentError);
    backward(loss_of(slots, 0));
    CHECK_THROWS_WITH_AS(backward(loss_of(slots, 1)), doctest::Contains("expected one backward pass between begin and end"),
                         ArgumentError);
    CHECK_THROWS_WITH_AS(bind_in_backward(adamw(), slots), doctest::Contains("found one that has it"), ArgumentError);
  }
  auto const again = bind_in_backward(adamw(), slots);
  CHECK_THROWS_WITH_AS(bind_in_backward(grouped(adamw(), groups(on(named("*"), clip_norm(1) | lion()))), {}),
                       doctest::Contains("needs all gradients before the first parameter moves"), ArgumentError);
}
