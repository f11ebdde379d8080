// SPDX-License-Identifier: Apache-2.0
// Laws of SOAP; its numbers against pytorch-optimizer in peers.cpp.
#include "lierne/optim/soap.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

static_assert(Layout<decltype(soap())>::fields == 6);
static_assert(Gate<Soap<>> && ShapesFields<Soap<>>);

namespace {

auto const doubles = at::TensorOptions().dtype(float64);

Tensor wave(Shape const& shape, double start) {
  return at::sin(at::arange(elements(shape), doubles).square() * 0.7 + start).view(shape);
}

/// Steps on given gradients, from zero.
template <class Rule>
Tensor after(Rule const& rule, std::vector<Tensor> const& gradients) {
  auto const optimizer = bind(rule);
  auto const weight = at::zeros_like(gradients[0]);
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    weight.mutable_grad() = gradients[k].clone();
    optimizer->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {.step = static_cast<std::int64_t>(k)});
  }
  return weight;
}

std::vector<Tensor> waves(Shape const& shape, int count) {
  std::vector<Tensor> all;
  for (int k = 0; k < count; ++k) all.push_back(wave(shape, 0.9 * k));
  return all;
}

}  // namespace

TEST_CASE("a turned problem has the turned run") {
  auto const u = std::get<0>(at::linalg_qr(wave({4, 4}, 100))), v = std::get<0>(at::linalg_qr(wave({4, 4}, 200)));
  auto const gradients = waves({4, 4}, 12);
  std::vector<Tensor> turned;
  for (auto const& g : gradients) turned.push_back(at::mm(at::mm(u, g), v));
  auto const rule = soap({.rate = 0.1, .frequency = 2});
  auto const plain = after(rule, gradients);
  CHECK(at::allclose(after(rule, turned), at::mm(at::mm(u, plain), v), 0, 1e-9));
  auto const adam = adamw({.rate = 0.1});
  CHECK_FALSE(at::allclose(after(adam, turned), at::mm(at::mm(u, after(adam, gradients)), v), 0, 1e-2));
}

TEST_CASE("without a basis it is adam, one call later") {
  auto const gradients = waves({3, 5}, 9);
  auto const later = std::vector<Tensor>(gradients.begin() + 1, gradients.end());
  auto const adam = after(adamw({.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-30}), later);
  SoapSettings<> settings{.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-30, .max_dimension = 2};
  CHECK(at::allclose(after(soap(settings), gradients), adam, 1e-12, 1e-14));
  settings.max_dimension = 10000;
  CHECK_FALSE(at::allclose(after(soap(settings), gradients), adam, 1e-2, 1e-2));
  std::vector<Tensor> rows, later_rows;
  for (auto const& g : gradients) rows.push_back(g[0].clone());
  for (auto const& g : later) later_rows.push_back(g[0].clone());
  auto const vector = after(adamw({.rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-30}), later_rows);
  CHECK(at::allclose(after(soap(settings), rows), vector, 1e-12, 1e-14));
}

TEST_CASE("the first call moves neither weight nor decay, and makes the bases") {
  auto const optimizer = bind(soap() | decay(0.5, times_rate));
  std::vector<Slot> const slots{{.name = "w", .weight = at::ones({3, 4}, doubles)}};
  slots[0].weight.mutable_grad() = wave({3, 4}, 0);
  optimizer->step(slots, {});
  CHECK(at::equal(slots[0].weight, at::ones({3, 4}, doubles)));
  auto const state = optimizer->state();
  auto const g = wave({3, 4}, 0);
  CHECK(at::allclose(state.at("optim.state.w.L"), 0.05 * at::mm(g, g.t())));
  auto const basis = state.at("optim.state.w.Q_R");
  CHECK(at::allclose(at::mm(basis.t(), basis), at::eye(4, doubles), 0, 1e-12));
  auto const turned = at::mm(basis.t(), at::mm(state.at("optim.state.w.R"), basis));
  CHECK(at::allclose(turned, turned.diagonal().diag(), 0, 1e-12));
  CHECK((turned.diagonal().diff() <= 1e-15).all().item<bool>());
  CHECK_FALSE(state.at("optim.state.w.exp_avg").any().item<bool>());
}

TEST_CASE("the averages of both sides follow their own beta") {
  CHECK_FALSE(after(soap({.shampoo_beta = 0.5, .frequency = 1}), waves({3, 3}, 9)).equal(after(soap({.frequency = 1}), waves({3, 3}, 9))));
  CHECK(after(soap({.shampoo_beta = 0.95, .frequency = 1}), waves({3, 3}, 9)).equal(after(soap({.frequency = 1}), waves({3, 3}, 9))));
}

TEST_CASE("empty sides, one side and a basis that never turns") {
  CHECK(after(soap(), waves({0, 3}, 4)).numel() == 0);
  CHECK(at::isfinite(after(soap({.frequency = 1, .max_dimension = 3}), waves({7, 3}, 4))).all().item<bool>());
  CHECK(at::isfinite(after(soap({.frequency = 0}), waves({7, 3}, 14))).all().item<bool>());
}

TEST_CASE("a first gradient that is not finite spoils the parameter and throws nothing") {
  auto gradients = waves({3, 3}, 3);
  gradients[0][0][0] = std::nan("");
  CHECK(at::isnan(after(soap(), gradients)).all().item<bool>());
}

TEST_CASE("more than two dimensions are refused by name") {
  auto const weight = at::ones({2, 2, 2});
  weight.mutable_grad() = at::ones({2, 2, 2});
  CHECK_THROWS_WITH_AS(bind(soap())->step(std::vector<Slot>{{.name = "experts", .weight = weight}}, {}),
                       doctest::Contains("takes parameters of 0 to 2 dimensions, found shape [2, 2, 2]"), ShapeError);
}
