// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/norm.hpp"

#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr auto record = block_at<0>(Decoder{.layers = 1, .width = 7, .vocab = 8, .norm = RmsNorm{.epsilon = 1e-3}});
using Layer = RmsNormLayer<record>;

/// x / √(mean(x²) + epsilon) ⊙ weight, by a loop in double.
Tensor naive(Tensor const& x, Tensor const& weight) {
  auto const rows = x.to(float64).reshape({-1, 7}).contiguous();
  auto const w = weight.detach().to(float64).contiguous();
  auto out = at::zeros_like(rows);
  for (std::int64_t r = 0; r < rows.size(0); ++r) {
    double squares = 0;
    for (int i = 0; i < 7; ++i) squares += rows.accessor<double, 2>()[r][i] * rows.accessor<double, 2>()[r][i];
    double const scale = 1 / std::sqrt(squares / 7 + 1e-3);
    for (int i = 0; i < 7; ++i) {
      out.accessor<double, 2>()[r][i] = rows.accessor<double, 2>()[r][i] * scale * w.accessor<double, 1>()[i];
    }
  }
  return out.view(x.sizes());
}

}  // namespace

TEST_CASE("the norm equals a loop in double") {
  Layer norm;
  auto const leaves = alone::ready(norm, float64);
  auto const x = alone::normal({3, 5, 7}, 1, 0.3);
  CHECK(alone::relative(norm(x, float64), naive(x, leaves.at("weight"))) <= 1e-15);

  Layer single;
  alone::ready(single, float32);
  CHECK(alone::relative(single(x.to(float32), float32), naive(x, leaves.at("weight"))) <= 2e-7);
}

TEST_CASE("its gradients are those of finite differences, in float32 too") {
  auto const by = alone::normal({3, 5, 7}, 2);
  auto const run = [&](Dtype dtype, bool differences) {
    Layer norm;
    auto leaves = alone::ready(norm, dtype);
    leaves["x"] = alone::normal({3, 5, 7}, 1, 0.3).to(dtype).requires_grad_();
    auto const loss = [&] { return (norm(leaves["x"], dtype).square() * by.to(dtype)).sum(); };
    if (differences) {
      alone::check_gradients(loss, leaves);
    } else {
      backward(loss());
    }
    return leaves;
  };
  auto const exact = run(float64, true);
  CHECK(alone::worst_gradient(run(float32, false), exact) <= 1e-6);
}

TEST_CASE("scaling the input does not change the output, apart from epsilon") {
  Layer norm;
  alone::ready(norm, float64);
  auto const x = 1e6 * alone::normal({4, 7}, 3);
  CHECK(alone::relative(norm(8 * x, float64), norm(x, float64)) <= 1e-12);
}

TEST_CASE("it is computed in the master dtype and rounded once") {
  Layer norm;
  alone::ready(norm, float32);
  auto const x = alone::normal({64, 7}, 1).to(float32);
  auto const narrow = norm(x, bfloat16);
  CHECK((narrow.scalar_type() == bfloat16));
  CHECK(narrow.equal(norm(x, float32).to(bfloat16)));
  CHECK(norm.weight.read_as == ReadAs::master);
}

TEST_CASE("a row of zeros stays zero, with finite gradients") {
  for (auto const dtype : {float32, float64}) {
    Layer norm;
    auto const leaves = alone::ready(norm, dtype);
    auto const x = at::zeros({2, 7}, dtype).requires_grad_();
    auto const y = norm(x, dtype);
    CHECK(y.abs().max().item<double>() == 0);
    backward(y.sum());
    CHECK(x.grad().isfinite().all().item<bool>());
    CHECK(leaves.at("weight").grad().abs().max().item<double>() == 0);
  }
}

namespace {

constexpr auto with_mean = block_at<0>(Decoder{.layers = 1, .width = 7, .vocab = 8, .norm = LayerNorm{.epsilon = 1e-3}});
constexpr auto without_bias =
    block_at<0>(Decoder{.layers = 1, .width = 7, .vocab = 8, .norm = LayerNorm{.epsilon = 1e-3, .bias = false}});

}  // namespace

TEST_CASE("layer normalisation equals its formula in double") {
  LayerNormLayer<with_mean> norm;
  auto const leaves = alone::ready(norm, float64);
  CHECK(leaves.size() == 2);
  auto const x = alone::normal({3, 5, 7}, 1, 0.3);
  auto const centred = x - x.mean(-1, true);
  auto const scaled = centred / (centred.square().mean(-1, true) + 1e-3).sqrt() * leaves.at("weight");
  CHECK(alone::relative(norm(x, float64), scaled + leaves.at("bias")) <= 1e-14);

  LayerNormLayer<without_bias> plain;
  auto const weight = alone::ready(plain, float64);
  CHECK(weight.size() == 1);
  CHECK(alone::relative(plain(x, float64), centred / (centred.square().mean(-1, true) + 1e-3).sqrt() * weight.at("weight")) <= 1e-14);
}

TEST_CASE("layer normalisation has the gradients of finite differences") {
  LayerNormLayer<with_mean> norm;
  auto leaves = alone::ready(norm, float64);
  leaves["x"] = alone::normal({3, 7}, 1, 0.3).requires_grad_();
  auto const by = alone::normal({3, 7}, 2);
  alone::check_gradients([&] { return (norm(leaves["x"], float64).square() * by).sum(); }, leaves);
}
