// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/optimizer.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

Slot slot(std::string name, double weight, double gradient) {
  Slot made{.name = std::move(name), .weight = at::full({3}, weight, float64)};
  made.weight.mutable_grad() = at::full({3}, gradient, float64);
  return made;
}

}  // namespace

TEST_CASE("one step of AdamW is the formula, and releases the gradients") {
  auto optimizer = bind(adamw({.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8}) | decay(0.5, times_rate));
  std::vector<Slot> slots{slot("a", 2.0, 0.5)};
  auto const report = optimizer->step(slots, {});
  // After one call both averages are corrected to g and g².
  CHECK(slots[0].weight[0].item<double>() == doctest::Approx(2.0 * (1 - 0.1 * 0.5) - 0.1 * 0.5 / (0.5 + 1e-8)).epsilon(1e-14));
  CHECK_FALSE(slots[0].weight.grad().defined());
  CHECK(report.rate == 0.1);
  CHECK(report.updated == 1);
  CHECK(std::isnan(report.grad_norm));  // nobody asked for it
}

TEST_CASE("the norm is that of counted gradients, summed over ranks once, before clipping") {
  auto optimizer = bind(clip_norm(1.0) | adamw({.rate = 0}));
  std::vector<Slot> slots{slot("a", 0, 2.0), slot("replica", 0, 5.0)};
  slots[1].counted = false;
  int calls = 0;
  auto const report = optimizer->step(slots, {.sum_over_ranks = [&](double own) { return ++calls, 2 * own; }});
  CHECK(calls == 1);
  CHECK(report.grad_norm == doctest::Approx(std::sqrt(2 * 3 * 4.0)).epsilon(1e-14));
  CHECK(report.clipped);
}

TEST_CASE("a rule without a bound measures the norm where it is asked to") {
  auto optimizer = bind(adamw({.rate = 0}));
  std::vector<Slot> slots{slot("a", 0, 1.0)};
  auto const report = optimizer->step(slots, {.measure_norm = true});
  CHECK(report.grad_norm == doctest::Approx(std::sqrt(3.0)));
  CHECK_FALSE(report.clipped);
}
