// SPDX-License-Identifier: Apache-2.0
// Clipping by the global norm: factor, edge cases, and the whole phase through an optimizer.
#include "lierne/optim/clip_norm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "optim/trajectory.hpp"

using namespace lierne;

static_assert(PhaseBoundary<ClipNorm>);
static_assert(clip_norm(1).factor(0.5) == 1 && clip_norm(1).factor(0) == 1);

TEST_CASE("the factor is torch's: max / (norm + 1e-6), at most 1") {
  CHECK(clip_norm(1).factor(4) == 1 / (4 + 1e-6));
  CHECK(clip_norm(1).factor(1) == 1 / (1 + 1e-6));
  CHECK(clip_norm(0).factor(1) == 0);
  CHECK(clip_norm(1).factor(std::numeric_limits<double>::infinity()) == 0);
  CHECK(std::isnan(clip_norm(1).factor(std::nan(""))));
}

TEST_CASE("clipping scales all gradients together and counts what it is told to count") {
  auto const options = at::TensorOptions().dtype(float64);
  for (auto path : test::all_paths) {
    CAPTURE(test::name(path));
    auto const make = [&](bool counted) {
      std::vector<Slot> slots{{.name = "a", .weight = at::zeros({3}, options)},
                              {.name = "b", .weight = at::zeros({2, 2}, options)},
                              {.name = "replica", .weight = at::zeros({5}, options), .counted = counted}};
      slots[0].weight.mutable_grad() = at::full({3}, 2, options);
      slots[1].weight.mutable_grad() = at::full({2, 2}, -1, options);
      slots[2].weight.mutable_grad() = at::full({5}, 3, options);
      return slots;
    };
    // An average that remembers nothing passes the gradient on: w = -rate · factor · g.
    auto const rule = clip_norm(1) | recipe("average", 1.0, momentum({.beta = 0}));
    for (bool counted : {true, false}) {
      auto const slots = make(counted);
      auto const report = bind(rule, path)->step(slots, {});
      double const norm = std::sqrt(12.0 + 4.0 + (counted ? 45.0 : 0.0));
      CHECK(report.grad_norm == doctest::Approx(norm).epsilon(1e-14));
      CHECK(report.clipped);
      CHECK(report.updated == 3);
      double const factor = 1 / (norm + 1e-6);
      CHECK(at::allclose(slots[0].weight, at::full({3}, -2 * factor, options), 1e-14, 0));
      CHECK(at::allclose(slots[1].weight, at::full({2, 2}, factor, options), 1e-14, 0));
      CHECK(at::allclose(slots[2].weight, at::full({5}, -3 * factor, options), 1e-14, 0));
    }
  }
}

TEST_CASE("the sum over ranks enters the norm") {
  auto const weight = at::zeros({4});
  weight.mutable_grad() = at::ones({4});
  std::vector<Slot> const slots{{.name = "w", .weight = weight}};
  int sums = 0;
  auto const optimizer = bind(clip_norm(100) | recipe("sgd", 1.0, momentum({.beta = 0})));
  auto const report = optimizer->step(slots, {.sum_over_ranks = [&](double squares) { ++sums; return squares + 21; }});
  CHECK(sums == 1);
  CHECK(report.grad_norm == 5);
  CHECK_FALSE(report.clipped);
  // Every rank takes part, also one that has no gradient.
  CHECK(optimizer->step(slots, {.sum_over_ranks = [&](double squares) { ++sums; return squares; }}).grad_norm == 0);
  CHECK(sums == 2);
}

TEST_CASE("a norm that is NaN makes every weight NaN, as in PyTorch") {
  std::vector<Slot> const slots{{.name = "a", .weight = at::zeros({3})}, {.name = "b", .weight = at::zeros({3})}};
  slots[0].weight.mutable_grad() = at::full({3}, std::nan(""));
  slots[1].weight.mutable_grad() = at::ones({3});
  auto const report = bind(clip_norm(1) | adamw())->step(slots, {});
  CHECK(std::isnan(report.grad_norm));
  CHECK(slots[0].weight.isnan().all().item<bool>());
  CHECK(slots[1].weight.isnan().all().item<bool>());
}
