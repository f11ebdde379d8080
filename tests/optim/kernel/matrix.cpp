// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/matrix.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

auto const doubles = at::TensorOptions().dtype(float64);
auto const a = at::arange(6, doubles).view({2, 3}), b = at::sin(at::arange(8, doubles)).view({4, 2});
TensorListValue const list(std::vector<Tensor>{a, b});

}  // namespace

TEST_CASE("means of rows go beside their matrix") {
  CHECK(at::equal(row_mean(TensorValue(a)).tensor, at::tensor({1.0, 4.0}, doubles).view({2, 1})));
  auto const centred = list - row_mean(list);
  CHECK(at::equal(centred.tensors[0][1], at::tensor({-1.0, 0.0, 1.0}, doubles)));
  CHECK(at::allclose(centred.tensors[1].sum(1), at::zeros({4}, doubles), 0, 1e-15));
}

TEST_CASE("factors of a shape") {
  CHECK(shape_scale(TensorValue(a), false).number == 1);
  CHECK(shape_scale(TensorValue(b), false).number == std::sqrt(2.0));
  CHECK(shape_scale(list, true).tensors[1].item<double>() == 0.2 * std::sqrt(4.0));
}

TEST_CASE("one matrix and lists are orthogonalised alike") {
  for (bool in_bf16 : {false, true}) {
    auto const each = orthogonalise(list, PolarExpress<>::polynomials, 1.01, in_bf16);
    CHECK(at::equal(each.tensors[1], orthogonalise(TensorValue(b), PolarExpress<>::polynomials, 1.01, in_bf16).tensor));
  }
}

TEST_CASE("a zero matrix stays zero, another rank is refused") {
  auto const zero = at::zeros({3, 2}, doubles);
  CHECK(at::equal(orthogonalise(TensorValue(zero), NewtonSchulz::polynomials, 1, false).tensor, zero));
  CHECK_THROWS_WITH_AS(orthogonalise(TensorValue(at::ones({4})), NewtonSchulz::polynomials, 1, false),
                       "orthogonalise: expected a matrix, found shape [4] (give parameters of other shapes another rule by groups)",
                       ShapeError);
}
