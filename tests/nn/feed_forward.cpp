// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/feed_forward.hpp"

#include <numbers>

#include "nn/alone.hpp"

using namespace lierne;

namespace {

struct Cube {
  std::string name() const { return "cube"; }
  Tensor operator()(Tensor const& x) const { return x * x * x; }
  friend constexpr bool operator==(Cube const&, Cube const&) = default;
};

template <class Channel>
constexpr auto of(Channel channel) {
  return Decoder{.layers = 1, .width = 6, .vocab = 8, .mixer = Attention{.heads = 1}, .channel = channel};
}
template <auto channel>
using Layer = typename LayerOf<std::remove_cvref_t<decltype(channel)>>::template layer<block_at<0>(of(channel))>;

double by_hand(Silu, double x) { return x / (1 + std::exp(-x)); }
double by_hand(SquaredRelu, double x) { return x > 0 ? x * x : 0; }
double by_hand(Cube, double x) { return x * x * x; }
double by_hand(Gelu gelu, double x) {
  if (!gelu.approximate) return x * 0.5 * (1 + std::erf(x / std::numbers::sqrt2));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

template <class F>
void for_each_element(Tensor& x, F const& f) {
  double* values = static_cast<double*>(x.mutable_data_ptr());
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] = f(values[i]);
}

template <auto channel>
void equals_loops() {
  using The = Layer<channel>;
  CAPTURE(channel.name());
  static_assert(std::is_same_v<typename The::output, Partial>);
  auto layer = The::make(Initial::truncated_normal(0.1));
  auto leaves = alone::ready(layer, float64);
  auto const x = alone::normal({2, 3, 6}, 1);
  auto activated = at::linear(x, leaves.at("w1.weight")).detach().contiguous();
  for_each_element(activated, [](double value) { return by_hand(channel.activation, value); });
  if (leaves.contains("w3.weight")) activated = activated * at::linear(x, leaves.at("w3.weight"));
  CHECK(alone::relative(layer(x), at::linear(activated, leaves.at("w2.weight"))) <= 1e-14);

  leaves["x"] = alone::normal({2, 3, 6}, 1).requires_grad_();
  auto const by = alone::normal({2, 3, 6}, 2);
  alone::check_gradients([&] { return (layer(leaves["x"]).square() * by).sum(); }, leaves);
}

}  // namespace

TEST_CASE("feed-forwards equal loops in double; their gradients finite differences") {
  equals_loops<Glu{.activation = Gelu{}, .hidden = 10}>();
  equals_loops<Glu{.activation = Silu{}, .hidden = 10}>();
  equals_loops<Mlp{.activation = Gelu{.approximate = true}, .hidden = 10}>();
  equals_loops<Mlp{.activation = SquaredRelu{}, .hidden = 10}>();
  equals_loops<Mlp{.activation = Silu{}, .hidden = 10}>();
  equals_loops<Glu{.activation = Cube{}, .hidden = 10}>();
}

TEST_CASE("a feed-forward with silu and a gate is SwiGlu") {
  auto glu = Layer<Glu{.activation = Silu{}, .hidden = 10}>::make(Initial::truncated_normal(0.1));
  auto swiglu = Layer<SwiGlu{.hidden = 10}>::make(Initial::truncated_normal(0.1));
  alone::ready(glu, float64);
  alone::ready(swiglu, float64);
  auto const x = alone::normal({2, 3, 6}, 1);
  CHECK(alone::relative(glu(x), swiglu(x)) <= 1e-14);
}

TEST_CASE("how feed-forwards are cut and where they start") {
  auto const mlp = Layer<Mlp{}>::make(Initial::truncated_normal(0.005));
  CHECK(mlp.w1.weight.shape == Shape{24, 6});
  CHECK(mlp.w2.weight.shape == Shape{6, 24});
  CHECK(mlp.w1.weight.tensor_dim == 0);
  CHECK(mlp.w2.weight.tensor_dim == 1);
  CHECK(mlp.w1.weight.initial.deviation == 0.02);
  CHECK(mlp.w2.weight.initial.deviation == 0.005);
}
