// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/biased_linear.hpp"

#include "nn/alone.hpp"
#include "nn/kernel/against.hpp"

using namespace lierne;

TEST_CASE("a biased linear layer is the product with the transposed weight, and the bias") {
  auto linear = make_biased_linear(5, 3, Initial::normal(1));
  auto const leaves = alone::ready(linear, float64);
  auto const x = alone::normal({2, 4, 5}, 1);
  auto const y = linear(x);
  REQUIRE(y.sizes() == at::IntArrayRef({2, 4, 3}));
  auto const w = leaves.at("weight").accessor<double, 2>();
  auto const in = x.accessor<double, 3>();
  for (int b = 0; b < 2; ++b) {
    for (int l = 0; l < 4; ++l) {
      for (int o = 0; o < 3; ++o) {
        double sum = leaves.at("bias")[o].item<double>();
        for (int i = 0; i < 5; ++i) sum += w[o][i] * in[b][l][i];
        CHECK(y[b][l][o].item<double>() == doctest::Approx(sum).epsilon(1e-14));
      }
    }
  }
}

TEST_CASE("its gradients are those of finite differences") {
  auto linear = make_biased_linear(5, 3, Initial::normal(1));
  auto leaves = alone::ready(linear, float64);
  leaves["x"] = alone::normal({2, 4, 5}, 1).requires_grad_();
  auto const by = alone::normal({2, 4, 3}, 2);
  alone::check_gradients([&] { return (linear(leaves["x"]).square() * by).sum(); }, leaves);
}

TEST_CASE("float32 and bfloat16 are as near to float64 as PyTorch's") {
  auto const ours = [](std::vector<Tensor> const& a) {
    auto linear = make_biased_linear(24, 40, Initial::normal(1));
    linear.product.weight.materialised = a[1];
    linear.bias.materialised = a[2];
    return linear(a[0]);
  };
  auto const plain = [](std::vector<Tensor> const& a) { return at::linear(a[0], a[1], a[2]); };
  testing::against_float64(ours, plain, {testing::draw({3, 50, 24}, 1, 1), testing::draw({40, 24}, 1, 2), testing::draw({40}, 3, 3)},
                           testing::draw({3, 50, 40}, 1, 4));
}

TEST_CASE("what is declared: the tensor axis cuts both alike, and biases start at 0") {
  auto const linear = make_biased_linear(5, 3, Initial::truncated_normal(0.02), 0);
  CHECK(linear.product.weight.shape == Shape{3, 5});
  CHECK(linear.product.weight.tensor_dim == 0);
  CHECK(linear.bias.shape == Shape{3});
  CHECK(linear.bias.tensor_dim == 0);
  CHECK((linear.bias.initial.kind == Initial::Kind::zeros));
  CHECK((linear.bias.kind == Kind::vector));
  CHECK(make_biased_linear(5, 3, Initial::zeros()).bias.tensor_dim == Parameter::whole);
}

TEST_CASE("it cannot be used before it has values, nor on another width") {
  auto linear = make_biased_linear(5, 3, Initial::zeros());
  CHECK_THROWS_WITH_AS(linear(at::ones({2, 5})), doctest::Contains("call init first"), ArgumentError);
  alone::ready(linear, float64);
  CHECK_THROWS(linear(at::ones({2, 4}, float64)));
}
