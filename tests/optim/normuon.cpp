// SPDX-License-Identifier: Apache-2.0
// NorMuon's rows against loops; the whole recipe against pytorch-optimizer in peers.cpp.
#include "lierne/optim/normuon.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

static_assert(ShapesFields<NormaliseRows<>>);
static_assert(Layout<decltype(normuon())>::fields == 2);

namespace {

auto const doubles = at::TensorOptions().dtype(float64);

Tensor gradient(int k) { return at::sin(at::arange(15, doubles) * 1.7 + k).view({5, 3}) * at::pow(10.0, at::arange(5, doubles) - 3).view({5, 1}); }

}  // namespace

TEST_CASE("rows are normalised as loops do it, and the norm stays") {
  auto const optimizer = bind(recipe("rows", 1.0, normalise_rows({.beta = 0.9, .epsilon = 1e-3})));
  auto const weight = at::zeros({5, 3}, doubles);
  double moment[5] = {};
  for (int k = 0; k < 6; ++k) {
    auto const before = weight.clone();
    auto const g = gradient(k);
    weight.mutable_grad() = g.clone();
    optimizer->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {.step = k});
    double u[5][3], given = 0, found = 0;
    for (int i = 0; i < 5; ++i) {
      double squares = 0;
      for (int j = 0; j < 3; ++j) squares += std::pow(g[i][j].item<double>(), 2);
      given += squares;
      moment[i] = 0.9 * moment[i] + 0.1 * squares / 3;
      for (int j = 0; j < 3; ++j) {
        u[i][j] = g[i][j].item<double>() / (std::sqrt(moment[i]) + 1e-3);
        found += u[i][j] * u[i][j];
      }
    }
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 3; ++j) {
        double const expected = u[i][j] * std::sqrt(given) / (std::sqrt(found) + 1e-3);
        CHECK((before - weight)[i][j].item<double>() == doctest::Approx(expected).epsilon(1e-12));
      }
    }
  }
  auto const kept = optimizer->state().at("optim.state.w.second_momentum_buffer");
  CHECK(kept.sizes() == Shape{5, 1});
  for (int i = 0; i < 5; ++i) CHECK(kept[i].item<double>() == doctest::Approx(moment[i]).epsilon(1e-12));
}

TEST_CASE("the rows of a first step are of one length") {
  auto const weight = at::zeros({5, 3}, doubles);
  weight.mutable_grad() = gradient(0);
  bind(normuon({.rate = 0.1}))->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {});
  auto const lengths = weight.norm(2, 1);
  CHECK(at::allclose(lengths, lengths[0].expand({5}), 1e-6, 0));
  CHECK(lengths[0].item<double>() > 0.05);
}

TEST_CASE("the monitor measures the second moment of rows") {
  auto const optimizer = bind(normuon() | monitor({.every = 1}));
  auto const weight = at::zeros({5, 3}, doubles);
  weight.mutable_grad() = gradient(0);
  auto const metrics = optimizer->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {}).metrics;
  auto const kept = optimizer->state().at("optim.state.w.second_momentum_buffer");
  CHECK(metrics.at("l2_norm/moment2/global") == doctest::Approx(kept.norm().item<double>()).epsilon(1e-12));
  CHECK(metrics.at("max/moment2/global") == doctest::Approx(kept.max().item<double>()).epsilon(1e-12));
}
