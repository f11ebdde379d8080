// SPDX-License-Identifier: Apache-2.0
// Steps on gradients of a scaled loss against steps on plain ones; against torch.amp.GradScaler in peers.cpp.
#include "lierne/optim/unscale.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

static_assert(PhaseBoundary<Unscale> && check_rule<decltype(unscale() | clip_norm(1.0) | adamw())>());

std::vector<Slot> two(Dtype dtype) {
  return {{.name = "a", .weight = at::linspace(-1, 1, 19, dtype)}, {.name = "b", .weight = at::linspace(2, 1, 8, dtype)}};
}
Tensor gradient_of(Slot const& slot, int k) { return (slot.weight * 3 + k).sin(); }

std::map<std::string, Tensor> copy(std::map<std::string, Tensor> const& state) {
  std::map<std::string, Tensor> result;
  for (auto const& [key, tensor] : state) result[key] = tensor.clone();
  return result;
}
bool equal(std::map<std::string, Tensor> const& a, std::map<std::string, Tensor> const& b) {
  return std::ranges::equal(a, b, [](auto const& x, auto const& y) { return x.first == y.first && x.second.equal(y.second); });
}

// A scale that is a power of two changes no bit of what is divided by it.
template <class Scaled, class Plain>
void equals_plain(Scaled const& scaled, Plain const& plain) {
  for (auto const path : {Path::fused, Path::foreach, Path::loop}) {
    for (auto const dtype : {float32, float64}) {
      auto const with = bind(scaled, path), without = bind(plain, path);
      auto a = two(dtype), b = two(dtype);
      for (int k = 0; k < 6; ++k) {
        double const scale = k < 3 ? 1024 : 0.125;
        for (auto& slot : a) slot.weight.mutable_grad() = gradient_of(slot, k) * scale;
        for (auto& slot : b) slot.weight.mutable_grad() = gradient_of(slot, k);
        auto const report = with->step(a, {.step = k, .loss_scale = scale});
        auto const expected = without->step(b, {.step = k, .measure_norm = true});
        CHECK_FALSE(report.skipped);
        CHECK(report.grad_norm == doctest::Approx(expected.grad_norm).epsilon(1e-14));
        for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].weight.equal(b[i].weight));
      }
      CHECK(equal(with->state(), without->state()));
    }
  }
}

}  // namespace

TEST_CASE("gradients of a scaled loss move weights as plain ones do") {
  equals_plain(unscale() | adamw({.rate = 0.01}), adamw({.rate = 0.01}));
  equals_plain(unscale() | decay(0.1, coupled) | plain_sgd(0.1), decay(0.1, coupled) | plain_sgd(0.1));
  equals_plain(grouped(unscale() | adamw({.rate = 0.01}), groups(on(named("b"), lion({.rate = 0.01})), otherwise())),
               grouped(adamw({.rate = 0.01}), groups(on(named("b"), lion({.rate = 0.01})), otherwise())));
}

TEST_CASE("the norm that clips is that of the divided gradients") {
  auto const scaled = bind(unscale() | clip_norm(0.5) | plain_sgd(0.1)), plain = bind(clip_norm(0.5) | plain_sgd(0.1));
  auto a = two(float64), b = two(float64);
  for (auto& slot : a) slot.weight.mutable_grad() = gradient_of(slot, 1) * 4096;
  for (auto& slot : b) slot.weight.mutable_grad() = gradient_of(slot, 1);
  auto const report = scaled->step(a, {.loss_scale = 4096}), expected = plain->step(b, {});
  CHECK(report.grad_norm == doctest::Approx(expected.grad_norm).epsilon(1e-15));
  CHECK(report.clipped);
  CHECK((a[0].weight - b[0].weight).abs().max().item<double>() <= 1e-16);
}

TEST_CASE("a step with a gradient that is not finite is left out whole") {
  double const bad[] = {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::quiet_NaN()};
  auto const check_rule_skips = [&](auto const& rule) {
    for (double const value : bad) {
      auto const optimizer = bind(rule), undisturbed = bind(rule);
      auto slots = two(float32), others = two(float32);
      for (int k = 0; k < 5; ++k) {
        auto const before = copy(optimizer->state());
        std::vector<Tensor> weights;
        for (auto& slot : slots) {
          weights.push_back(slot.weight.clone());
          slot.weight.mutable_grad() = gradient_of(slot, k);
        }
        slots[1].weight.mutable_grad()[3] = value;
        auto const report = optimizer->step(slots, {.step = k});
        CHECK(report.skipped);
        CHECK(report.updated == 0);
        CHECK_FALSE(std::isfinite(report.grad_norm));
        for (std::size_t i = 0; i < slots.size(); ++i) {
          CHECK(slots[i].weight.equal(weights[i]));
          CHECK_FALSE(slots[i].weight.grad().defined());
        }
        if (k > 0) CHECK(equal(optimizer->state(), before));
        for (auto* each : {&slots, &others}) {
          for (auto& slot : *each) slot.weight.mutable_grad() = gradient_of(slot, k);
        }
        CHECK_FALSE(optimizer->step(slots, {.step = k}).skipped);
        undisturbed->step(others, {.step = k});
      }
      CHECK(equal(optimizer->state(), undisturbed->state()));
      for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i].weight.equal(others[i].weight));
    }
  };
  check_rule_skips(unscale() | adamw({.rate = 0.01}) | ema(0.9));
  check_rule_skips(unscale() | clip_norm(1.0) | adopt({.rate = 0.01}) | monitor({.every = 1}));
  check_rule_skips(grouped(unscale() | adamw({.rate = 0.01}), groups(on(named("a"), lion()), otherwise())));
}

TEST_CASE("all ranks leave a step out where one has found infinity") {
  auto const optimizer = bind(unscale() | adamw());
  auto slots = two(float32);
  auto const before = slots[0].weight.clone();
  for (auto& slot : slots) slot.weight.mutable_grad() = gradient_of(slot, 0);
  int calls = 0;
  auto const sum = [&](double own) { return ++calls, own + std::numeric_limits<double>::infinity(); };
  CHECK(optimizer->step(slots, {.sum_over_ranks = sum}).skipped);
  CHECK(calls == 1);
  CHECK(slots[0].weight.equal(before));
}

TEST_CASE("a measured step sees the divided gradients") {
  auto const optimizer = bind(unscale() | accumulate(1) | clip_norm(1e9) | plain_sgd(0.1) | monitor({.every = 1}));
  auto slots = two(float64);
  double squares = 0;
  for (auto& slot : slots) {
    auto const gradient = gradient_of(slot, 0);
    squares += gradient.square().sum().item<double>();
    slot.weight.mutable_grad() = gradient * 256;
  }
  CHECK(optimizer->step(slots, {.loss_scale = 256}).metrics.at("l2_norm/grad/global") == doctest::Approx(std::sqrt(squares)));
}

TEST_CASE("a loss scale without the stage is an error and so is the stage in a group") {
  auto slots = two(float32);
  CHECK_THROWS_WITH_AS(bind(adamw())->step(slots, {.loss_scale = 2}), doctest::Contains("a loss scale of 2 needs unscale()"), ArgumentError);
  CHECK_THROWS_WITH_AS(bind(grouped(adamw(), groups(on(named("a"), unscale() | lion()), otherwise()))),
                       doctest::Contains("accumulate and unscale belong in the rule that the groups are given to"), ArgumentError);
}
