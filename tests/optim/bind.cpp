// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/bind.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

TEST_CASE("a bound rule knows its rate and its name") {
  auto const optimizer = bind(clip_norm(1.0) | adamw({.rate = 3e-4}) | decay(0.1, times_rate));
  CHECK(optimizer->initial_rate() == 3e-4);
  CHECK(optimizer->name() == name(clip_norm(1.0) | adamw({.rate = 3e-4}) | decay(0.1, times_rate)));
  CHECK(optimizer->state().empty());
}

TEST_CASE("a schedule multiplies the rate, step by step") {
  for (auto const path : {Path::fused, Path::foreach, Path::loop}) {
    auto const optimizer = bind(scheduled(adamw({.rate = 0.1}), warmup(4) | cosine_to(0)), path);
    std::vector<Slot> slots{{.name = "w", .weight = at::ones({2})}};
    double const expected[] = {0.025, 0.05, 0.075, 0.1};
    for (int step = 0; step < 4; ++step) {
      slots[0].weight.mutable_grad() = at::ones({2});
      CHECK(optimizer->step(slots, {.step = step, .total = 10}).rate == doctest::Approx(expected[step]).epsilon(1e-14));
    }
  }
}

TEST_CASE("rules of different types are one type once bound") {
  std::vector<std::unique_ptr<Optimizer>> all;
  all.push_back(bind(adamw({.rate = 0.1})));
  all.push_back(bind(adopt({.rate = 0.1})));
  all.push_back(bind(scheduled(qhadamw({.rate = 0.1}), stable())));
  for (auto& optimizer : all) {
    std::vector<Slot> slots{{.name = "w", .weight = at::ones({2})}};
    for (int step = 0; step < 2; ++step) {
      slots[0].weight.mutable_grad() = at::ones({2});
      optimizer->step(slots, {.step = step, .total = 2});
    }
    CHECK(slots[0].weight[0].item<double>() < 1);
  }
}
