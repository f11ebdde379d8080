// SPDX-License-Identifier: Apache-2.0
// MARS against loops; against pytorch-optimizer in peers.cpp.
#include "lierne/optim/mars.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

TEST_CASE("the gradient is corrected by its change and limited in norm, for each parameter by itself") {
  auto const doubles = at::TensorOptions().dtype(float64);
  double const c = 0.5 * (0.8 / 0.2);
  for (auto path : {Path::fused, Path::foreach, Path::loop}) {
    auto const optimizer = bind(variance_reduction({.gamma = 0.5, .beta = 0.8}) | plain_sgd(1.0), path);
    std::vector<Slot> slots{{.name = "small", .weight = at::zeros({2}, doubles)}, {.name = "large", .weight = at::zeros({2}, doubles)}};
    auto previous = at::zeros({2}, doubles);
    auto expected_small = at::zeros({2}, doubles), expected_large = at::zeros({2}, doubles);
    for (int k = 0; k < 3; ++k) {
      auto const gradient = at::tensor({0.01 * (k + 1), -0.02}, doubles);
      slots[0].weight.mutable_grad() = gradient.clone();
      slots[1].weight.mutable_grad() = gradient * 1000;
      optimizer->step(slots, {.step = k});
      auto const corrected = gradient + c * (gradient - previous);
      previous = gradient;
      expected_small -= corrected;  // its norm stays below 1
      expected_large -= corrected / corrected.norm();
    }
    CHECK(at::allclose(slots[0].weight, expected_small, 0, 1e-14));
    CHECK(at::allclose(slots[1].weight, expected_large, 0, 1e-12));
  }
}

TEST_CASE("the recipe is the stage before adamw") {
  CHECK(name(mars_adamw()) == name(variance_reduction() | adamw({.rate = 3e-3, .beta1 = 0.95, .beta2 = 0.99})));
}
