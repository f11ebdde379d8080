// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/head_norm.hpp"

#include <cmath>

#include "nn/alone.hpp"
#include "nn/kernel/against.hpp"

using namespace lierne;

namespace {

/// x / √(mean(x²) + 1e-3) ⊙ weight of each head, by loops in double.
Tensor naive(Tensor const& x_BLNH, Tensor const& weight) {
  auto out = at::zeros_like(x_BLNH);
  auto const x = x_BLNH.accessor<double, 4>();
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    for (std::int64_t l = 0; l < x.size(1); ++l) {
      for (std::int64_t n = 0; n < x.size(2); ++n) {
        double squares = 0;
        for (std::int64_t h = 0; h < x.size(3); ++h) squares += x[b][l][n][h] * x[b][l][n][h];
        double const scale = 1 / std::sqrt(squares / static_cast<double>(x.size(3)) + 1e-3);
        for (std::int64_t h = 0; h < x.size(3); ++h) {
          out.accessor<double, 4>()[b][l][n][h] = x[b][l][n][h] * scale * weight[h].item<double>();
        }
      }
    }
  }
  return out;
}

Tensor composed(Tensor const& x, Tensor const& weight) {
  return x * (x.square().mean(-1, true) + 1e-3).rsqrt() * weight;
}

}  // namespace

TEST_CASE("each head is normalised for itself, with weights and without") {
  auto norm = make_head_norm(6);
  auto const leaves = alone::ready(norm, float64);
  auto const x = alone::normal({2, 5, 3, 6}, 1);
  CHECK(alone::relative(norm(x, 1e-3), naive(x, leaves.at("weight"))) <= 1e-15);
  CHECK(alone::relative(weightless_head_norm(x, 1e-3), naive(x, at::ones({6}, float64))) <= 1e-15);
}

TEST_CASE("values and gradients in float32 and bfloat16 against float64") {
  std::vector<Tensor> const arguments{testing::draw({2, 50, 3, 16}, 1.5, 1), testing::draw({16}, 1, 2)};
  auto const upstream = testing::draw({2, 50, 3, 16}, 1, 3);
  auto const weighted = [](std::vector<Tensor> const& a) {
    auto norm = make_head_norm(16);
    norm.weight.materialised = a[1];
    return norm(a[0], 1e-3);
  };
  testing::against_float64(weighted, [](std::vector<Tensor> const& a) { return composed(a[0], a[1]); }, arguments, upstream);
  testing::against_float64([](std::vector<Tensor> const& a) { return weightless_head_norm(a[0], 1e-3); },
                           [](std::vector<Tensor> const& a) { return composed(a[0], at::ones({16}, a[0].options())); },
                           {arguments[0]}, upstream);
}

TEST_CASE("normed heads have mean square 1, whatever their scale") {
  auto const x = alone::normal({2, 5, 3, 6}, 1, 100);
  auto const squares = weightless_head_norm(x, 0).square().mean(-1);
  CHECK(at::allclose(squares, at::ones_like(squares), 1e-12, 1e-12));
}

TEST_CASE("what is declared: whole on every rank, in the master dtype, of the kind of norms") {
  auto const norm = make_head_norm(6);
  CHECK(norm.weight.shape == Shape{6});
  CHECK(norm.weight.tensor_dim == Parameter::whole);
  CHECK((norm.weight.read_as == ReadAs::master));
  CHECK((norm.weight.kind == Kind::norm));
  CHECK((norm.weight.initial.kind == Initial::Kind::ones));
}

TEST_CASE("a head of another size is refused") {
  auto norm = make_head_norm(6);
  alone::ready(norm, float64);
  CHECK_THROWS_AS(norm(alone::normal({2, 5, 3, 4}, 1), 1e-3), ShapeError);
}
