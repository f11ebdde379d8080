// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/eigenbasis.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

auto const doubles = at::TensorOptions().dtype(float64);
auto const g = at::sin(at::arange(12, doubles).square()).view({3, 4});
auto const none = at::zeros({0}, doubles);

Tensor symmetric(std::int64_t size) {
  auto const x = at::sin(at::arange(size * size, doubles).square() + 1).view({size, size});
  return at::mm(x, x.t());
}

}  // namespace

TEST_CASE("products with itself, as loops do them") {
  auto const rows = gram(TensorValue(g), TensorValue(at::zeros({3, 3}, doubles)), 0).tensor;
  auto const columns = gram(TensorValue(g), TensorValue(at::zeros({4, 4}, doubles)), 1).tensor;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += g[i][k].item<double>() * g[j][k].item<double>();
      CHECK(rows[i][j].item<double>() == doctest::Approx(sum).epsilon(1e-14));
    }
  }
  CHECK(columns.sizes() == Shape{4, 4});
  CHECK(columns.trace().item<double>() == doctest::Approx(rows.trace().item<double>()).epsilon(1e-14));
  CHECK(gram(TensorValue(g), TensorValue(none), 0).tensor.numel() == 0);
}

TEST_CASE("eigenvectors by falling eigenvalue") {
  auto const s = symmetric(5);
  auto const q = eigenvectors(TensorValue(s)).tensor;
  auto const turned = at::mm(q.t(), at::mm(s, q));
  CHECK(at::allclose(turned, turned.diagonal().diag(), 0, 1e-12));
  CHECK((turned.diagonal().diff() < 0).all().item<bool>());
  auto bad = symmetric(2);
  bad[0][0] = std::nan("");
  CHECK(at::isnan(eigenvectors(TensorValue(bad)).tensor).all().item<bool>());
  CHECK(eigenvectors(TensorValue(none)).tensor.numel() == 0);
}

TEST_CASE("into a basis and out of it is nothing, also with one side or none") {
  auto const left = eigenvectors(TensorValue(symmetric(3))), right = eigenvectors(TensorValue(symmetric(4)));
  TensorValue const x(g), missing(none);
  CHECK(at::allclose(out_of_basis(into_basis(x, left, right), left, right).tensor, g, 0, 1e-14));
  CHECK(at::allclose(into_basis(x, left, missing).tensor, at::mm(left.tensor.t(), g)));
  CHECK(at::allclose(out_of_basis(x, missing, right).tensor, at::mm(g, right.tensor.t())));
  CHECK(at::equal(into_basis(x, missing, missing).tensor, g));
}

TEST_CASE("power iterations turn any basis into the eigenvectors, and the moment goes along") {
  auto const s = symmetric(4);
  TensorValue moment(at::arange(8, doubles).view({4, 2})), basis(at::eye(4, doubles));
  TensorListValue moments(std::vector<Tensor>{moment.tensor, moment.tensor}), bases(std::vector<Tensor>{basis.tensor, none});
  turn_basis(moment, TensorValue(s), basis, 0);
  turn_basis(moments, TensorListValue(std::vector<Tensor>{s, none}), bases, 0);
  CHECK(at::equal(moments.tensors[0], moment.tensor));
  CHECK(at::equal(bases.tensors[0], basis.tensor));
  CHECK(at::equal(moments.tensors[1], at::arange(8, doubles).view({4, 2})));
  auto const order = at::argsort(s.diagonal(), -1, true);
  CHECK(at::equal(moment.tensor, at::arange(8, doubles).view({4, 2}).index_select(0, order)));
  for (int i = 0; i < 300; ++i) turn_basis(moment, TensorValue(s), basis, 0);
  CHECK(at::allclose(basis.tensor.abs(), eigenvectors(TensorValue(s)).tensor.abs(), 0, 1e-8));
}
