// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/any_block.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <typeindex>

#include "lierne/nn/model.hpp"
#include "lierne/spec/spec.hpp"
#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr Attention many{.heads = 4, .kv_heads = 2}, few{.heads = 2};
constexpr SwiGlu wide{.hidden = 24}, slim{.hidden = 16};

/// Mixer, channel and position change with periods 2, 3 and 4 together.
template <int layers>
constexpr Decoder mixed{.layers = layers,
                        .width = 16,
                        .vocab = 16,
                        .mixer = every<2>(many, few),
                        .position = every<4>(NoPosition{}, Rope{}),
                        .channel = every<3>(wide, slim)};

/// What a layer is made of: the sizes of its weights, and whether it turns queries and keys.
struct Found {
  std::int64_t keys, hidden;
  bool rotates;
  auto operator<=>(Found const&) const = default;
};
Found found(AnyBlock& block) {
  std::map<std::string, std::int64_t> rows;
  walk(block, [&](std::string const& name, Parameter& p) { rows[name] = p.shape[0]; });
  return {rows.at("attention.wk.weight"), rows.at("feed_forward.w1.weight"), block.rotation().has_value()};
}
Found expected(int layer) {
  return {(layer + 1) % 2 == 0 ? 8 : 16, (layer + 1) % 3 == 0 ? 24 : 16, (layer + 1) % 4 != 0};
}

template <int layers>
void layers_have_their_blocks() {
  CAPTURE(layers);
  std::set<Found> distinct;
  std::set<std::type_index> types;
  auto const blocks = make_blocks<mixed<layers>, 1>();
  REQUIRE(blocks.size() == layers);
  for (int layer = 0; layer < layers; ++layer) {
    CAPTURE(layer);
    auto& block = *blocks[static_cast<std::size_t>(layer)];
    CHECK(found(block) == expected(layer));
    if (auto const rotation = block.rotation()) {
      CHECK(*rotation == Rotation{Rope{}, (layer + 1) % 2 == 0 ? 4 : 8});
    }
    // First values by depth, whatever the type.
    walk(block, [&](std::string const& name, Parameter& p) {
      if (name == "attention.wo.weight") CHECK(p.initial.deviation == 0.02 / std::sqrt(2.0 * (layer + 1)));
    });
    distinct.insert(expected(layer));
    types.insert(typeid(block));
  }
  CHECK(types.size() == distinct.size());
}

/// A mixer of the user's own: the mean of what came before, times a weight.
struct Mean {
  static constexpr Role role = Role::mixer;
  int power = 1;

  template <auto block>
  struct Layer {
    Linear mix = make_linear(block.width, block.width, Initial::normal(0.02));
    static void members(auto& self, auto&& visit) { visit("mix", self.mix); }
    Tensor operator()(Tensor const& x) const {
      auto const age = at::arange(1, x.size(1) + 1, x.options()).pow(block.mixer.power).unsqueeze(-1);
      return mix(x.cumsum(1) / age);
    }
  };
};
constexpr Decoder own{.layers = 5,
                      .width = 16,
                      .vocab = 16,
                      .mixer = every<2>(Mean{.power = 2}, many),
                      .channel = slim,
                      .scaling = Standard{.deviation = 0.5},
                      .precision = Float64{}};

}  // namespace

TEST_CASE("each layer has the block of its place in three periods at once") {
  layers_have_their_blocks<1>();
  layers_have_their_blocks<7>();
  layers_have_their_blocks<9>();
  layers_have_their_blocks<12>();
  layers_have_their_blocks<26>();
}

TEST_CASE("a tensor degree makes another type, an equal record of another decoder the same") {
  auto const one = make_blocks<mixed<7>, 1>(), two = make_blocks<mixed<7>, 2>(), deeper = make_blocks<mixed<8>, 1>();
  CHECK(std::type_index(typeid(*one[0])) != std::type_index(typeid(*two[0])));
  CHECK(std::type_index(typeid(*one[0])) == std::type_index(typeid(*deeper[0])));
}

TEST_CASE("the last norm is the first layer's") {
  constexpr auto spec = with(mixed<3>, every<2>(RmsNorm{.epsilon = 4}, RmsNorm{.epsilon = 0}));
  auto const norm = make_stream_norm<spec, 1>();
  walk(*norm, [](std::string const& name, Parameter& p) {
    CHECK(name == "weight");
    p.materialised = at::ones({16});
  });
  auto const x = at::full({1, 1, 16}, 3.0);
  CHECK(((*norm)(x, float32) - 1).abs().max().item<double>() <= 1e-6);  // x / √(x²), without the 4
}

TEST_CASE("a model of many kinds runs and gives every parameter a gradient") {
  constexpr auto spec = with(mixed<9>, Float64{});
  Model<spec> model;
  model.init({.seed = 2});
  auto const tokens = at::arange(12, at::TensorOptions().dtype(int64)).view({2, 6});
  backward(model.loss(tokens, (tokens + 1) % 16, 12));
  std::int64_t elements_of_all = 0;
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    REQUIRE(p.owned.grad().defined());
    CHECK(p.owned.grad().abs().max().item<double>() > 0);
    elements_of_all += p.owned.numel();
  });
  CHECK(elements_of_all == parameters(mixed<9>).total());
}

TEST_CASE("a mixer of one's own takes its slot on its layers") {
  Model<own> model;
  model.init({.seed = 2});
  int mine = 0, attention = 0;
  model.walk([&](std::string const& name, Parameter&) {
    mine += name.ends_with("mixer.mix.weight");
    attention += name.ends_with("attention.wq.weight");
  });
  CHECK(mine == 2);
  CHECK(attention == 3);

  // Its gradients are those of finite differences, like any other's.
  std::map<std::string, Tensor> leaves;
  model.walk([&](std::string const& name, Parameter& p) {
    if (name == "layers.1.mixer.mix.weight" || name == "layers.2.attention.wk.weight") leaves[name] = p.owned;
  });
  REQUIRE(leaves.size() == 2);
  auto const tokens = at::arange(4, at::TensorOptions().dtype(int64)).view({1, 4});
  alone::check_gradients([&] { return model.loss(tokens, tokens + 1, 1); }, leaves);
}
