// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/feed_forward.hpp"

#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr auto record =
    block_at<0>(Decoder{.layers = 1, .width = 6, .vocab = 8, .mixer = Attention{.heads = 1}, .channel = SwiGlu{.hidden = 10}});
using Layer = GluLayer<record>;

double row_times(Tensor const& row, Tensor const& x) {
  double sum = 0;
  for (std::int64_t i = 0; i < x.size(0); ++i) sum += row[i].item<double>() * x[i].item<double>();
  return sum;
}

/// w2(silu(w1 x) ⊙ w3 x), by loops in double.
Tensor naive(Tensor const& x, std::map<std::string, Tensor> const& leaves) {
  NoGrad guard;
  auto const w1 = leaves.at("w1.weight").to(float64), w2 = leaves.at("w2.weight").to(float64),
             w3 = leaves.at("w3.weight").to(float64);
  auto out = at::zeros_like(x);
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    for (std::int64_t l = 0; l < x.size(1); ++l) {
      auto hidden = at::zeros({10}, float64);
      for (int f = 0; f < 10; ++f) {
        double const gate = row_times(w1[f], x[b][l]);
        hidden[f].fill_(gate / (1 + std::exp(-gate)) * row_times(w3[f], x[b][l]));
      }
      for (int d = 0; d < 6; ++d) out[b][l][d].fill_(dot(w2[d], hidden));
    }
  }
  return out;
}

}  // namespace

static_assert(std::is_same_v<Layer::output, Partial>);
static_assert(Layer::hidden == 10);

TEST_CASE("the layer equals loops in double") {
  auto layer = Layer::make(Initial::truncated_normal(0.1));
  auto const leaves = alone::ready(layer, float64);
  auto const x = alone::normal({2, 3, 6}, 1);
  auto const expected = naive(x, leaves);
  CHECK(alone::relative(layer(x), expected) <= 1e-14);

  auto single = Layer::make(Initial::truncated_normal(0.1));
  alone::ready(single, float32);
  CHECK(alone::relative(single(x.to(float32)), expected) <= 5e-7);
}

TEST_CASE("its gradients are those of finite differences, in float32 too") {
  auto const by = alone::normal({2, 3, 6}, 2);
  auto const run = [&](Dtype dtype, bool differences) {
    auto layer = Layer::make(Initial::truncated_normal(0.1));
    auto leaves = alone::ready(layer, dtype);
    leaves["x"] = alone::normal({2, 3, 6}, 1).to(dtype).requires_grad_();
    auto const loss = [&] { return (layer(leaves["x"]).square() * by.to(dtype)).sum(); };
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

TEST_CASE("w1 is the gate") {
  auto layer = Layer::make(Initial::truncated_normal(0.1));
  auto const leaves = alone::ready(layer, float64);
  auto swapped = Layer::make(Initial::truncated_normal(0.1));
  alone::ready(swapped, float64);
  std::swap(swapped.w1.weight.materialised, swapped.w3.weight.materialised);
  auto const x = alone::normal({2, 3, 6}, 1);
  CHECK(alone::relative(swapped(x), layer(x)) > 1e-2);
}

TEST_CASE("which values it starts from and how it is cut") {
  auto const layer = Layer::make(Initial::truncated_normal(0.005));
  CHECK(layer.w1.weight.initial.deviation == 0.02);
  CHECK(layer.w2.weight.initial.deviation == 0.005);
  CHECK(layer.w3.weight.initial.deviation == 0.005);
  CHECK(layer.w1.weight.shape == Shape{10, 6});
  CHECK(layer.w2.weight.shape == Shape{6, 10});
  CHECK(layer.w1.weight.tensor_dim == 0);
  CHECK(layer.w3.weight.tensor_dim == 0);
  CHECK(layer.w2.weight.tensor_dim == 1);
}
