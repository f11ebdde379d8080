// SPDX-License-Identifier: Apache-2.0
// The average of weights against a plain loop over the weights that a rule passed through; against torch in peers.cpp.
#include "lierne/optim/ema.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "lierne/optim/optim.hpp"
#include "lierne/tensor/autograd.hpp"

using namespace lierne;

namespace {

using Plain = decltype(adamw() | decay(0.1, times_rate));
using Averaged = decltype(adamw() | decay(0.1, times_rate) | ema(0.9));
using Nested = decltype(adamw() | (decay(0.1, times_rate) | (ema(0.9) | monitor())));

static_assert(Layout<Averaged>::fields == Layout<Plain>::fields + 1);
static_assert(std::is_same_v<Applied<Plain>, Pipe<Plain, Apply>>);
static_assert(std::is_same_v<Applied<Averaged>, Pipe<Pipe<Plain, Apply>, Ema<>>>);
static_assert(std::is_same_v<Applied<Nested>, Pipe<Pipe<Plain, Apply>, Pipe<Ema<>, Monitor>>>);
static_assert(ema<EmaWarmup::harmonic>(0.9).coefficients(Call<>{.calls = 2})[0] == 3.0 / 12);
static_assert(ema<EmaWarmup::harmonic>(0.9).coefficients(Call<>{.calls = 500})[0] == 0.9);

constexpr Path paths[] = {Path::fused, Path::foreach, Path::loop};
constexpr auto field = "optim.state.w.ema";

std::vector<Slot> slots_of(Dtype dtype) { return {{.name = "w", .weight = at::linspace(-1, 2, 21, dtype)}}; }

void step(Optimizer& optimizer, std::vector<Slot>& slots, int k) {
  slots[0].weight.mutable_grad() = (slots[0].weight * 3 + k).sin();
  optimizer.step(slots, {.step = k});
}

}  // namespace

TEST_CASE("the average is that of the moved weights and the rule goes as without it") {
  for (auto const path : paths) {
    for (auto const dtype : {float64, float32}) {
      auto const plain = bind(adamw({.rate = 0.05}) | decay(0.1, times_rate), path);
      auto const averaged = bind(adamw({.rate = 0.05}) | decay(0.1, times_rate) | ema(0.8), path);
      auto a = slots_of(dtype), b = slots_of(dtype);
      Tensor expected;
      for (int k = 0; k < 15; ++k) {
        step(*plain, a, k);
        step(*averaged, b, k);
        CHECK(a[0].weight.equal(b[0].weight));
        auto const now = a[0].weight.to(float64);
        expected = k == 0 ? now.clone() : 0.8 * expected + 0.2 * now;
        auto const away = (averaged->state().at(field).to(float64) - expected).abs().max().item<double>();
        CHECK(away <= (dtype == float64 ? 1e-15 : 5e-7));
        if (k == 0) CHECK(averaged->state().at(field).equal(b[0].weight));
      }
    }
  }
}

TEST_CASE("beside weights of bfloat16 the average is of the weights before they are rounded") {
  auto const run = [](Optimizer& optimizer, std::vector<Slot>& slots) {
    for (int k = 0; k < 12; ++k) {
      slots[0].weight.mutable_grad() = (at::arange(21) * 3 + k).sin().to(slots[0].weight.scalar_type());
      optimizer.step(slots, {.step = k});
    }
    return optimizer.state().at(field);
  };
  auto const rule = adamw({.rate = 0.05}) | decay(0.1, times_rate) | ema(0.8);
  for (auto const path : paths) {
    // A master goes as float32 weights do, whose gradients are rounded alike.
    std::vector<Slot> single{{.name = "w", .weight = at::linspace(-1, 2, 21).to(bfloat16).to(float32)}};
    std::vector<Slot> halves{{.name = "w", .weight = single[0].weight.to(bfloat16)}};
    auto const with_master = bind(rule | weights_in(bf16_with_master), path);
    auto const plain = bind(rule, path);
    for (int k = 0; k < 12; ++k) {
      auto const gradient = (at::arange(21) * 3 + k).sin().to(bfloat16);
      single[0].weight.mutable_grad() = gradient.to(float32);
      plain->step(single, {.step = k});
    }
    auto const average = run(*with_master, halves);
    CHECK((average.scalar_type() == float32));
    CHECK(average.equal(plain->state().at(field)));
    auto const trained = halves[0].weight.clone();
    {
      EvaluationWeights const guard(*with_master, halves);
      CHECK(halves[0].weight.equal(average.to(bfloat16)));
    }
    CHECK(halves[0].weight.equal(trained));
    // Rounded at random, it is near.
    auto rounded = slots_of(bfloat16);
    auto const stored = bind(rule | store<"ema">(bf16_stochastic) | weights_in(bf16_kahan), path);
    auto const near = run(*stored, rounded);
    CHECK((near.scalar_type() == bfloat16));
    CHECK((near.to(float32) - average).abs().max().item<double>() <= 2 * std::exp2(-7));
    EvaluationWeights const guard(*stored, rounded);
    CHECK(rounded[0].weight.equal(near));
  }
}

TEST_CASE("a stored average that a state lacks starts as the weight, its master or its compensated sum") {
  auto slots = slots_of(bfloat16);
  auto const first = bind(adamw({.rate = 0.3}) | weights_in(bf16_with_master));
  step(*first, slots, 0);
  auto const master = first->state().at("optim.state.w.master").clone();
  auto const second = bind(adamw({.rate = 0.3}) | ema(0.8) | weights_in(bf16_with_master));
  CHECK(second->load_state(first->state()).missing == std::vector<std::string>{field});
  EvaluationWeights const guard(*second, slots);
  CHECK(slots[0].weight.equal(master.to(bfloat16)));
  CHECK(second->state().at(field).equal(master));
}

TEST_CASE("grouping does not matter to where the weight is moved") {
  auto const left = bind(adamw() | decay(0.1, times_rate) | ema(0.7)), right = bind(adamw() | (decay(0.1, times_rate) | ema(0.7)));
  auto a = slots_of(float64), b = slots_of(float64);
  for (int k = 0; k < 5; ++k) step(*left, a, k), step(*right, b, k);
  CHECK(a[0].weight.equal(b[0].weight));
  CHECK(left->state().at(field).equal(right->state().at(field)));
}

TEST_CASE("behind a gate that holds the average is the weight that it began with") {
  for (auto const path : paths) {
    auto const optimizer = bind(adopt({.rate = 0.1}) | ema(0.5), path);
    auto slots = slots_of(float64);
    auto const start = slots[0].weight.clone();
    step(*optimizer, slots, 0);
    CHECK(optimizer->state().at(field).equal(start));
    step(*optimizer, slots, 1);
    auto const expected = 0.5 * start + 0.5 * slots[0].weight;
    CHECK((optimizer->state().at(field) - expected).abs().max().item<double>() <= 1e-15);
  }
}

TEST_CASE("in a state of the rule without it the average starts from the weight") {
  auto const plain = bind(plain_sgd(0.1)), averaged = bind(plain_sgd(0.1) | ema(0.5));
  auto slots = slots_of(float64);
  for (int k = 0; k < 3; ++k) step(*plain, slots, k);
  CHECK(averaged->load_state(plain->state()).missing == std::vector<std::string>{field});
  auto const before = slots[0].weight.clone();
  step(*averaged, slots, 3);
  CHECK((averaged->state().at(field) - 0.5 * (before + slots[0].weight)).abs().max().item<double>() <= 1e-15);
}

TEST_CASE("a differentiable step starts the average from the weight and carries gradients through it") {
  auto const weight = at::full({3}, 2.0, at::TensorOptions().dtype(float64)).requires_grad_();
  auto const rule = plain_sgd(0.1) | ema(0.75);
  DifferentiableState state{weight, {}};
  auto const gradient = at::ones({3}, at::TensorOptions().dtype(float64));
  for (int k = 0; k < 2; ++k) state = differentiable_step(rule, state, gradient, {.calls = k, .rate = 0.1});
  CHECK(state.fields[0].mean().item<double>() == doctest::Approx(0.75 * 1.9 + 0.25 * 1.8).epsilon(1e-14));
  backward(state.fields[0].sum());
  CHECK((weight.grad() - 1).abs().max().item<double>() <= 1e-15);
}

TEST_CASE("names say what was chosen") {
  CHECK(name(ema(0.99)) == "ema 0.99");
  CHECK(name(ema<EmaWarmup::harmonic>(0.99)) == "ema 0.99 with harmonic warmup");
}
