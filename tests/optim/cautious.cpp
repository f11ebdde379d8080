// SPDX-License-Identifier: Apache-2.0
// Caution against loops; the form by count against pytorch-optimizer in peers.cpp.
#include "lierne/optim/cautious.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

auto const doubles = at::TensorOptions().dtype(float64);

// Two calls with momentum 0.5: the second gradient turns some elements around.
template <class Rule>
Tensor after_two_calls(Rule const& rule, Path path) {
  auto const optimizer = bind(rule, path);
  std::vector<Slot> slots{{.name = "a", .weight = at::tensor({1.0, 1.0, 1.0, -1.0}, doubles)},
                          {.name = "b", .weight = at::tensor({5.0}, doubles)}};
  for (int k = 0; k < 2; ++k) {
    slots[0].weight.mutable_grad() = k == 0 ? at::tensor({4.0, 4.0, 0.0, 4.0}, doubles) : at::tensor({2.0, -1.0, 0.0, 2.0}, doubles);
    slots[1].weight.mutable_grad() = at::full({1}, 1.0, doubles);
    optimizer->step(slots, {.step = k});
  }
  return slots[0].weight;
}

}  // namespace

TEST_CASE("elements that disagree with the gradient stay, the others go further") {
  // m after call 1: 2 2 0 2, after call 2: 2 0.5 0 2. Call 2 has gradients 2 -1 0 2: elements 0 and 3 agree.
  for (auto path : {Path::fused, Path::foreach, Path::loop}) {
    auto const by_mean = after_two_calls(recipe("c", 0.1, momentum<Bias::kept>({.beta = 0.5}) | cautious()), path);
    // Call 1: three of four agree. Call 2: two of four.
    double const first = 0.1 * 2 / 0.75, second = 0.1 * 2 / 0.5;
    CHECK(at::allclose(by_mean, at::tensor({1 - first - second, 1 - first, 1.0, -1 - first - second}, doubles), 0, 1e-14));
    auto const by_count =
        after_two_calls(recipe("c", 0.1, momentum<Bias::kept>({.beta = 0.5}) | cautious<CautiousScale::count>()), path);
    double const one = 0.1 * 2 * 4 / 4, two = 0.1 * 2 * 4 / 3;
    CHECK(at::allclose(by_count, at::tensor({1 - one - two, 1 - one, 1.0, -1 - one - two}, doubles), 0, 1e-14));
  }
}

TEST_CASE("where nothing agrees the enlargement is bounded, and nothing moves") {
  auto const optimizer = bind(recipe("c", 0.1, momentum<Bias::kept>({.beta = 0.9}) | cautious()));
  auto const weight = at::ones({3}, doubles);
  std::vector<Slot> const slots{{.name = "w", .weight = weight}};
  weight.mutable_grad() = at::full({3}, 1.0, doubles);
  optimizer->step(slots, {});
  auto const before = weight.clone();
  weight.mutable_grad() = at::full({3}, -0.5, doubles);
  optimizer->step(slots, {.step = 1});
  CHECK(at::equal(weight, before));
}

TEST_CASE("cautious decay shrinks only what the step shrinks, on every path") {
  for (auto path : {Path::fused, Path::foreach, Path::loop}) {
    auto const optimizer = bind(plain_sgd(0.5) | cautious_decay(0.2, times_rate), path);
    auto const weight = at::tensor({2.0, 2.0, -2.0, 0.0}, doubles);
    weight.mutable_grad() = at::tensor({1.0, -1.0, -1.0, 1.0}, doubles);
    optimizer->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {});
    CHECK(at::allclose(weight, at::tensor({1.8 - 0.5, 2 + 0.5, -1.8 + 0.5, -0.5}, doubles), 0, 1e-15));
  }
}

TEST_CASE("a parameter that is cut over ranks, and a promise of a fused pass, are refused") {
  auto const weight = at::ones({2}, doubles);
  weight.mutable_grad() = at::ones({2}, doubles);
  auto const rule = recipe("c", 0.1, momentum() | cautious());
  std::vector<Slot> const part{{.name = "w", .weight = weight, .shape = {4}}};
  CHECK_THROWS_WITH_AS(bind(rule)->step(part, {}), doctest::Contains("needs the whole parameter of shape [4], found a part"), ShapeError);
  std::vector<Slot> const whole{{.name = "w", .weight = weight}};
  CHECK_THROWS_WITH_AS(bind(rule, Path::fused_only)->step(whole, {}), doctest::Contains("has no fused pass"), ArgumentError);
}
