// SPDX-License-Identifier: Apache-2.0
// What every recipe owes, one table: it converges, it resumes bit for bit, ascent is descent on the other sign, a group's
// rate is a rate, zero gradients move nothing, a parameter that joins late runs as if alone, the three paths agree,
// accumulation and loss scales change nothing, and a step in the backward pass is a step.
#include <doctest/doctest.h>

#include "lierne/tensor/autograd.hpp"
#include "optim/recipes.hpp"

using namespace lierne;

namespace {

constexpr Path paths[] = {Path::fused, Path::foreach, Path::loop};
auto const doubles = at::TensorOptions().dtype(float64);

Shape shape{37};  // of the weight: a matrix for recipes of matrices

Tensor start() { return at::linspace(-1.5, 2, elements(shape), doubles).view(shape); }
// The k-th gradient of a noisy quadratic with curvatures from 0.2 to 2.
Tensor gradient_at(Tensor const& weight, std::int64_t k) {
  auto const curvature = at::linspace(0.2, 2, weight.numel(), weight.options());
  auto const noise = at::sin(at::arange(weight.numel(), weight.options()) * 1.7 + static_cast<double>(k) * 2.3);
  return curvature.view_as(weight) * weight + 0.01 * noise.view_as(weight);
}

struct Run {
  std::unique_ptr<Optimizer> optimizer;
  std::vector<Slot> slots{{.name = "w", .weight = start()}};
  std::int64_t calls = 0;

  Tensor& weight() { return slots[0].weight; }
  void step(Tensor const& gradient) {
    weight().mutable_grad() = gradient;
    optimizer->step(slots, {.step = calls++});
  }
  void steps(int count, double sign = 1) {
    for (int i = 0; i < count; ++i) step(sign * gradient_at(weight(), calls));
  }
};

template <class Rule>
Run run_of(Rule const& rule, Path path = Path::fused) {
  return {.optimizer = bind(rule, path)};
}

// Decay behind a recipe that may have it.
template <class Recipe>
auto decayed(Recipe const& recipe, double strength) {
  using Decayed = decltype(recipe | decay(strength, times_rate));
  if constexpr (detail::traits<Decayed>.fault == detail::OrderFault::none) {
    return recipe | decay(strength, times_rate);
  } else {
    return recipe;
  }
}

// Calls body(rule) for every recipe, named in messages.
template <class Body>
void each(Body const& body) {
  auto const named = [&](auto const& rule) {
    CAPTURE(name(rule));
    body(rule);
  };
  shape = {37};
  test::for_each_recipe(named);
  shape = {7, 5};
  test::for_each_matrix_recipe(named);
  shape = {37};
}

}  // namespace

TEST_CASE("every recipe converges on a quadratic") {
  each([](auto const& rule) {
    auto run = run_of(rule);
    run.steps(400);
    CHECK(run.weight().abs().max().template item<double>() < 0.15);
  });
}

TEST_CASE("rules with stored forms converge on the quadratic as well") {
  auto const worst = [](auto const& rule, Dtype dtype) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "w", .weight = start().to(dtype).repeat({2, 2})}};
    for (std::int64_t k = 0; k < 400; ++k) {
      auto const row = gradient_at(slots[0].weight[0].narrow(0, 0, 37).to(float64), k);
      slots[0].weight.mutable_grad() = row.repeat({2, 2}).to(dtype);
      optimizer->step(slots, {.step = k});
    }
    return slots[0].weight[0].narrow(0, 0, 37).abs().max().template item<double>();
  };
  auto const adam = adamw({.rate = 0.05});
  CHECK(worst(adam | store<"exp_avg", "exp_avg_sq">(bf16_stochastic), float32) < 0.15);
  CHECK(worst(adam | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks), float32) < 0.15);
  CHECK(worst(adopt({.rate = 0.05}) | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks), float32) < 0.15);
  CHECK(worst(lion({.rate = 0.02}) | store<"exp_avg">(eight_bit_blocks), float32) < 0.15);
  CHECK(worst(adam | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks) | weights_in(bf16_stochastic), bfloat16) < 0.15);
  CHECK(worst(adam | weights_in(bf16_kahan), bfloat16) < 0.15);
  CHECK(worst(adam | weights_in(bf16_with_master), bfloat16) < 0.15);
}

TEST_CASE("every recipe goes on bit for bit from a saved state") {
  each([](auto const& rule) {
    for (auto path : paths) {
      auto whole = run_of(rule, path);
      whole.steps(17);
      std::map<std::string, Tensor> saved;
      for (auto const& [key, tensor] : whole.optimizer->state()) saved[key] = tensor.clone();
      auto resumed = run_of(rule, path);
      resumed.weight().copy_(whole.weight());
      auto const report = resumed.optimizer->load_state(saved);
      CHECK(report.missing.empty());
      CHECK(report.extra.empty());
      resumed.calls = whole.calls;
      whole.steps(9);
      resumed.steps(9);
      CHECK(at::equal(whole.weight(), resumed.weight()));
    }
  });
}

TEST_CASE("maximising is minimising the other sign") {
  each([](auto const& rule) {
    auto up = run_of(maximize() | rule), down = run_of(rule);
    for (std::int64_t k = 0; k < 20; ++k) {
      auto const gradient = gradient_at(start(), k);
      up.step(-gradient);
      down.step(gradient);
    }
    CHECK(at::equal(up.weight(), down.weight()));
  });
}

TEST_CASE("a parameter's multiplier on the rate is a rate, and decay and its multiplier are one product") {
  each([](auto const& rule) {
    if constexpr (requires { rule.rate; }) {  // a recipe alone, without stages before it
      auto twice = rule;
      twice.rate = 2 * rule.rate;
      auto by_rate = run_of(decayed(twice, 0.05)), by_group = run_of(decayed(rule, 0.1));
      by_group.slots[0].multipliers = {.rate = 2, .decay = 0.5};
      by_rate.steps(12);
      by_group.steps(12);
      CHECK(at::equal(by_rate.weight(), by_group.weight()));
    }
  });
}

TEST_CASE("zero gradients from the start move nothing, and later ones keep everything finite") {
  each([](auto const& rule) {
    auto run = run_of(rule);
    for (int i = 0; i < 3; ++i) run.step(at::zeros_like(run.weight()));
    CHECK(at::equal(run.weight(), start()));
    run.steps(3);
    for (int i = 0; i < 3; ++i) run.step(at::zeros_like(run.weight()));
    CHECK(at::isfinite(run.weight()).all().template item<bool>());
    CHECK_FALSE(at::equal(run.weight(), start()));
  });
}

TEST_CASE("a parameter that joins late, or misses calls, runs by its own count") {
  each([](auto const& rule) {
    for (auto path : paths) {
      auto together = run_of(rule, path), alone = run_of(rule, path);
      together.slots.push_back({.name = "late", .weight = start()});
      std::int64_t calls = 0;
      for (int k = 0; k < 12; ++k) {
        together.weight().mutable_grad() = gradient_at(together.weight(), k);
        if (k >= 5 && k != 8) together.slots[1].weight.mutable_grad() = gradient_at(together.slots[1].weight, calls++);
        together.optimizer->step(together.slots, {.step = k});
      }
      alone.steps(static_cast<int>(calls));
      CHECK(at::equal(together.slots[1].weight, alone.weight()));
    }
  });
}

TEST_CASE("the three paths of every recipe agree") {
  each([](auto const& rule) {
    auto fused = run_of(rule), foreach = run_of(rule, Path::foreach), loop = run_of(rule, Path::loop);
    for (std::int64_t k = 0; k < 25; ++k) {
      auto const gradient = gradient_at(start(), k);
      for (auto* run : {&fused, &foreach, &loop}) run->step(gradient.clone());
    }
    CHECK((fused.weight() - loop.weight()).abs().max().template item<double>() <= 1e-12);
    CHECK((foreach.weight() - loop.weight()).abs().max().template item<double>() <= 1e-12);
  });
}

TEST_CASE("every recipe takes the mean of equal gradients of a scaled loss for the gradient") {
  each([](auto const& rule) {
    auto plain = run_of(rule), scaled = run_of(accumulate(2) | unscale() | rule);
    for (std::int64_t k = 0; k < 12; ++k) {
      auto const gradient = gradient_at(start(), k);
      plain.step(gradient.clone());
      for (int call = 0; call < 2; ++call) {
        scaled.weight().mutable_grad() = 8 * gradient;
        scaled.optimizer->step(scaled.slots, {.step = 2 * k + call, .loss_scale = 8});
      }
    }
    CHECK(at::equal(plain.weight(), scaled.weight()));
  });
}

TEST_CASE("every recipe steps in the backward pass as behind it") {
  each([](auto const& rule) {
    auto behind = run_of(rule), inside = run_of(rule);
    for (auto* run : {&behind, &inside}) run->weight().requires_grad_();
    auto const optimizer = bind_in_backward(rule, inside.slots);
    auto const loss = [](Tensor const& weight) { return (weight * weight * weight.sin()).sum(); };
    for (std::int64_t k = 0; k < 12; ++k) {
      backward(loss(behind.weight()));
      behind.optimizer->step(behind.slots, {.step = k});
      optimizer->begin({.step = k});
      backward(loss(inside.weight()));
      CHECK(optimizer->end().updated == 1);
    }
    CHECK(at::equal(behind.weight(), inside.weight()));
    CHECK_FALSE(at::equal(behind.weight(), start()));
  });
}
