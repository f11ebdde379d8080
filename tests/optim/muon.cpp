// SPDX-License-Identifier: Apache-2.0
// Muon against recorded runs of torch.optim.Muon.
#include "lierne/optim/muon.hpp"

#include <doctest/doctest.h>

#include "optim/trajectory.hpp"

using namespace lierne;

TEST_CASE("muon equals torch's, with the iteration in the weights' own format and in bf16") {
  for (auto path : test::all_paths) {
    CAPTURE(test::name(path));
    auto const exact = muon<NewtonSchulz::exact>({.rate = 0.02}) | decay(0.1, times_rate);
    auto const deviation = test::replay(test::Trajectory("muon_nsexact"), exact, path, float64);
    CHECK(deviation.weights <= 1e-12);
    CHECK(deviation.state <= 1e-14);
    // The same operations of ATen in bf16, so far below the format's own error of 3e-3.
    auto const rounded = muon({.rate = 0.02}) | decay(0.1, times_rate);
    CHECK(test::replay(test::Trajectory("muon"), rounded, path, float64).weights <= 1e-5);
  }
}

TEST_CASE("the iteration brings singular values near one and keeps the singular vectors") {
  auto const doubles = at::TensorOptions().dtype(float64);
  for (auto [rows, columns] : {std::pair{6, 6}, {9, 4}, {3, 8}}) {
    auto const matrix = at::sin(at::arange(rows * columns, doubles) * 1.3).view({rows, columns});
    auto const result = newton_schulz(TensorValue(matrix), false, false).tensor / std::sqrt(std::max(1.0, 1.0 * rows / columns));
    auto const product = at::mm(result.t(), matrix);  // symmetric if both have the same singular vectors
    CHECK((product - product.t()).abs().max().item<double>() <= 1e-10);
    CHECK(result.norm().item<double>() <= 1.3 * std::sqrt(std::min(rows, columns)));
  }
}

TEST_CASE("scaled to the size of an adam step") {
  auto const matrix = at::eye(8, at::TensorOptions().dtype(float64)).narrow(0, 0, 2);
  auto const plain = newton_schulz(TensorValue(matrix), false, false).tensor;
  auto const scaled = newton_schulz(TensorValue(matrix), false, true).tensor;
  CHECK(at::allclose(scaled, plain * 0.2 * std::sqrt(8.0), 1e-14, 0));
}

TEST_CASE("a parameter that is no matrix is refused by name") {
  auto const optimizer = bind(muon());
  auto const weight = at::ones({4});
  weight.mutable_grad() = at::ones({4});
  CHECK_THROWS_WITH_AS(optimizer->step(std::vector<Slot>{{.name = "norm.weight", .weight = weight}}, {}),
                       "muon: expected a matrix, found shape [4] (give parameters of other shapes another rule by groups)", ShapeError);
}
