// SPDX-License-Identifier: Apache-2.0
// The polynomials on singular values; the iterations against torch.optim in muon.cpp, against pytorch-optimizer in peers.cpp.
#include "lierne/optim/orthogonalise.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

static_assert(MatrixIteration<NewtonSchulz> && MatrixIteration<PolarExpress<5>> && !MatrixIteration<Momentum<>>);
static_assert(PolarExpress<>::polynomials.size() == 5);
static_assert(PolarExpress<9>::polynomials[7].a == 1.875 && PolarExpress<9>::polynomials[8].b == -1.25);

namespace {

auto const doubles = at::TensorOptions().dtype(float64);

struct Range {
  double smallest = 1e300, largest = 0;
};

/// Where the polynomials take numbers from `low` to 1, by plain numbers.
template <class Iteration>
Range range_from(double low) {
  Range range;
  for (int i = 0; i <= 20000; ++i) {
    double x = low * std::pow(1 / low, i / 20000.0) / Iteration::norm_factor;
    for (auto const& p : Iteration::polynomials) x = p.a * x + p.b * x * x * x + p.c * x * x * x * x * x;
    range = {std::min(range.smallest, x), std::max(range.largest, x)};
  }
  return range;
}

template <class Iteration>
Tensor direction(Tensor const& matrix) {
  Element<TensorValue> at{matrix, matrix, matrix};
  Orthogonalise<Iteration, IterationFormat::exact>::element(std::array<double, 0>{}, at);
  return at.direction.tensor;
}

template <class Iteration>
void keeps_singular_vectors() {
  for (auto [rows, columns] : {std::pair{6, 6}, {9, 4}, {3, 8}}) {
    auto const matrix = at::sin(at::arange(rows * columns, doubles) * 1.3).view({rows, columns});
    auto const [u, s, v] = at::linalg_svd(matrix, false);
    auto expected = s.clone();
    double const norm = s.norm().template item<double>() * Iteration::norm_factor;
    for (std::int64_t i = 0; i < s.numel(); ++i) {
      double x = s[i].template item<double>() / norm;
      for (auto const& p : Iteration::polynomials) x = p.a * x + p.b * std::pow(x, 3) + p.c * std::pow(x, 5);
      expected[i] = x;
    }
    CHECK(at::allclose(direction<Iteration>(matrix), at::mm(u * expected, v), 0, 1e-10));
  }
}

}  // namespace

TEST_CASE("an iteration applies its polynomials to the singular values and keeps the singular vectors") {
  keeps_singular_vectors<NewtonSchulz>();
  keeps_singular_vectors<PolarExpress<>>();
  keeps_singular_vectors<PolarExpress<8>>();
}

TEST_CASE("singular values end where the documentation says") {
  auto const newton = range_from<NewtonSchulz>(0.01);
  CHECK(newton.smallest > 0.68);
  CHECK(newton.largest < 1.21);
  auto const five = range_from<PolarExpress<5>>(0.001), six = range_from<PolarExpress<6>>(0.001), eight = range_from<PolarExpress<8>>(0.001);
  CHECK(five.smallest > 0.84);
  CHECK(five.largest < 1.13);
  CHECK(six.smallest > 0.993);
  CHECK(six.largest < 1.002);
  CHECK(eight.smallest > 1 - 1e-13);
  CHECK(eight.largest < 1 + 1e-13);
  CHECK(range_from<NewtonSchulz>(0.001).smallest < 0.5);
}

TEST_CASE("scales of a shape") {
  auto const scaled = [](auto scale, Tensor const& matrix) {
    Element<TensorValue> at{matrix, matrix, matrix};
    decltype(scale)::element(std::array<double, 0>{}, at);
    return at.direction.tensor;
  };
  auto const tall = at::arange(1, 19, doubles).view({9, 2}), wide = tall.t().contiguous();
  CHECK(at::allclose(scaled(ScaleToShape<>{}, tall), tall * std::sqrt(4.5), 1e-14, 0));
  CHECK(at::equal(scaled(ScaleToShape<>{}, wide), wide));
  CHECK(at::allclose(scaled(ScaleToShape<MuonScale::match_adam>{}, wide), wide * 0.6, 1e-14, 0));
  auto const fixed = scaled(ScaleToShape<MuonScale::fixed_rms>{}, tall);
  CHECK(fixed.square().mean().sqrt().item<double>() == doctest::Approx(0.2).epsilon(1e-14));
  CHECK(at::allclose(fixed / tall, (fixed / tall)[0][0].expand({9, 2}), 1e-14, 0));
  CHECK(at::equal(scaled(ScaleToShape<MuonScale::fixed_rms>{}, at::zeros({2, 2}, doubles)), at::zeros({2, 2}, doubles)));
}
