// SPDX-License-Identifier: Apache-2.0
// Rules that together use many stages, and runs of them on tensors of awkward sizes.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "lierne/optim/optim.hpp"

namespace lierne::test {

template <class Visit>
void for_each_rule(Visit&& visit) {
  visit(clip_norm(1) | adamw({.rate = 0.01}) | decay(0.1, times_rate));
  visit(maximize() | decay(0.1, coupled) | amsgrad({.rate = 0.01}) | decay(0.01, independent));
  visit(qhadamw({.rate = 0.01}) | decay(0.005, times_schedule));
  visit(adopt({.rate = 0.01}) | decay(0.1, times_rate));
  visit(qhadopt({.rate = 0.01}, no_bound));
  visit(lion({.rate = 0.01}));
  visit(adamw({.rate = 0.01}) | store<"exp_avg", "exp_avg_sq">(bf16_stochastic, {.seed = 2}));
  visit(plain_sgd(0.1));
  visit(soap({.rate = 0.01, .frequency = 2}));
  visit(adopt({.rate = 0.01}) | (decay(0.01, independent) | ema(0.75)));
  visit(schedule_free_adamw({.rate = 0.1}));
  visit(recipe("mine", 0.01, labelled<"fast">(momentum({.beta = 0.5})) | normalise<Epsilon::floor>() | quasi_hyperbolic<Bias::kept>()));
}

/// Weights and fields after steps with gradients that are sometimes absent; sizes around whole vectors and blocks.
inline std::vector<Tensor> after_steps(Optimizer& optimizer, Dtype dtype, int steps = 7) {
  std::vector<Slot> slots;
  auto const wave = [](std::int64_t size, double start) {
    return (at::arange(size, at::TensorOptions().dtype(float64)) * 12.9898 + start).sin();
  };
  for (std::int64_t size : {0, 1, 3, 8, 33, 256, 511, 515, 2000}) {
    slots.push_back({.name = "w" + std::to_string(size), .weight = wave(size, 0.3).to(dtype)});
  }
  for (int k = 0; k < steps; ++k) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if ((static_cast<std::size_t>(k) + i) % 5 == 4) continue;
      auto const size = slots[i].weight.numel();
      slots[i].weight.mutable_grad() = wave(size, 7.7 * k + static_cast<double>(i)).to(dtype);
    }
    optimizer.step(slots, {.step = k, .total = steps, .measure_norm = true});
  }
  std::vector<Tensor> all;
  for (auto const& slot : slots) all.push_back(slot.weight);
  for (auto const& [key, field] : optimizer.state()) all.push_back(field);
  return all;
}

inline void check_equal(std::vector<Tensor> const& a, std::vector<Tensor> const& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(a[i].equal(b[i]));
  }
}

}  // namespace lierne::test
