// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/linear.hpp"

#include "nn/alone.hpp"

using namespace lierne;

TEST_CASE("a linear layer is the product with the transposed weight") {
  auto linear = make_linear(5, 3, Initial::normal(1));
  auto const leaves = alone::ready(linear, float64);
  auto const x = alone::normal({2, 4, 5}, 1);
  auto const y = linear(x);
  REQUIRE(y.sizes() == at::IntArrayRef({2, 4, 3}));
  auto const w = leaves.at("weight").accessor<double, 2>();
  auto const in = x.accessor<double, 3>();
  double worst = 0;
  for (int b = 0; b < 2; ++b) {
    for (int l = 0; l < 4; ++l) {
      for (int o = 0; o < 3; ++o) {
        double sum = 0;
        for (int i = 0; i < 5; ++i) sum += w[o][i] * in[b][l][i];
        worst = std::max(worst, std::abs(y[b][l][o].item<double>() - sum));
      }
    }
  }
  CHECK(worst <= 1e-14);
}

TEST_CASE("its gradients are those of finite differences") {
  auto linear = make_linear(5, 3, Initial::normal(1));
  auto leaves = alone::ready(linear, float64);
  leaves["x"] = alone::normal({2, 4, 5}, 1).requires_grad_();
  auto const by = alone::normal({2, 4, 3}, 2);
  alone::check_gradients([&] { return (linear(leaves["x"]).square() * by).sum(); }, leaves);
}

TEST_CASE("what is declared") {
  auto const linear = make_linear(5, 3, Initial::truncated_normal(0.02), 1);
  CHECK(linear.weight.shape == Shape{3, 5});
  CHECK(linear.weight.tensor_dim == 1);
  CHECK(linear.weight.read_as == ReadAs::compute);
  CHECK(linear.weight.initial.deviation == 0.02);
  CHECK(make_linear(5, 3, Initial::zeros()).weight.tensor_dim == Parameter::whole);
}

TEST_CASE("it cannot be used before it has values, nor on another width") {
  auto linear = make_linear(5, 3, Initial::zeros());
  CHECK_THROWS_WITH_AS(linear(at::ones({2, 5})), doctest::Contains("call init first"), ArgumentError);
  alone::ready(linear, float64);
  CHECK_THROWS(linear(at::ones({2, 4}, float64)));
}
