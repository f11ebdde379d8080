// SPDX-License-Identifier: Apache-2.0
// Muon against recorded runs of torch.optim.Muon.
#include "lierne/optim/muon.hpp"

#include <doctest/doctest.h>

#include "optim/trajectory.hpp"

using namespace lierne;

TEST_CASE("muon equals torch's, with the iteration in the weights' own format and in bf16") {
  for (auto path : test::all_paths) {
    CAPTURE(test::name(path));
    auto const exact = muon<NewtonSchulz, IterationFormat::exact>({.rate = 0.02}) | decay(0.1, times_rate);
    auto const deviation = test::replay(test::Trajectory("muon_nsexact"), exact, path, float64);
    CHECK(deviation.weights <= 1e-12);
    CHECK(deviation.state <= 1e-14);
    // The same operations of ATen in bf16, so far below the format's own error of 3e-3.
    auto const rounded = muon({.rate = 0.02}) | decay(0.1, times_rate);
    CHECK(test::replay(test::Trajectory("muon"), rounded, path, float64).weights <= 1e-5);
  }
}

TEST_CASE("a first step has singular values near the rate, whatever the gradient's size") {
  auto const doubles = at::TensorOptions().dtype(float64);
  for (double size : {1e-3, 1.0, 1e6}) {
    auto const weight = at::zeros({4, 6}, doubles);
    weight.mutable_grad() = size * at::sin(at::arange(24, doubles).square() * 0.7).view({4, 6});
    bind(muon<PolarExpress<8>, IterationFormat::exact>({.rate = 0.5}))->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {});
    CHECK(at::allclose(at::mm(weight, weight.t()), 0.25 * at::eye(4, doubles), 0, 1e-9));
  }
}

TEST_CASE("a parameter that is no matrix is refused by name before any other moves") {
  auto const optimizer = bind(muon());
  std::vector<Slot> const slots{{.name = "w", .weight = at::ones({2, 2})}, {.name = "norm.weight", .weight = at::ones({4})}};
  for (auto const& slot : slots) slot.weight.mutable_grad() = at::ones_like(slot.weight);
  CHECK_THROWS_WITH_AS(optimizer->step(slots, {}),
                       doctest::Contains("to its shape)' takes parameters of 2 dimensions, found shape [4] (give it another rule by groups)"),
                       ShapeError);
  CHECK(at::equal(slots[0].weight, at::ones({2, 2})));
}
