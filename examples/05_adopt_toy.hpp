// SPDX-License-Identifier: Apache-2.0
// The toy problem on which Adam walks the wrong way: rare large gradients against many small ones.
#pragma once

#include <lierne/lierne.hpp>
#include <lierne/sweep/sweep.hpp>
#include <lierne/tensor/autograd.hpp>
#include <lierne/tensor/operations.hpp>

/// Minimise E[f(w)] = w over [-1, 1]. A gradient is k² with probability 1/k, else -k: 1 in the mean, whatever k is.
/// The rate is 0.01 / √(1 + 0.01 t), the start 0, the best point -1.
/// Source: Taniguchi et al., arXiv 2411.02853, section 5, after Reddi et al., arXiv 1904.09237.
struct RareGradients {
  double k = 10;
  int runs = 64;        ///< independent ones, the elements of one tensor
  int steps = 20000;
  std::uint64_t seed = 1;

  /// The mean of all runs' last points under a rule whose initial rate is 0.01.
  double last_point(lierne::AnyRule const& rule) const {
    auto const rate = [](std::int64_t t, std::int64_t) { return 1 / std::sqrt(1 + 0.01 * static_cast<double>(t)); };
    auto const optimizer = lierne::bind(lierne::scheduled(rule, rate));
    auto const point = at::zeros({runs}, at::TensorOptions().dtype(lierne::float64));
    std::vector<lierne::Slot> const slots{{.name = "w", .weight = point}};
    lierne::Random const random{seed};
    auto* const w = point.mutable_data_ptr<double>();
    for (std::int64_t t = 0; t < steps; ++t) {
      auto const gradient = at::empty_like(point);
      auto* const g = gradient.mutable_data_ptr<double>();
      for (int i = 0; i < runs; ++i) {
        g[i] = random.uniform(static_cast<std::uint64_t>(t * runs + i)) < 1 / k ? k * k : -k;
      }
      point.mutable_grad() = gradient;
      optimizer->step(slots, {.step = t, .total = steps});
      for (int i = 0; i < runs; ++i) w[i] = std::clamp(w[i], -1.0, 1.0);
    }
    return point.mean().item<double>();
  }
};
