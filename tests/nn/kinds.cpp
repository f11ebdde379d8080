// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kinds.hpp"

#include <doctest/doctest.h>

#include <set>

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

template <class B>
struct RecordOf;
template <auto block>
struct RecordOf<Block<block>> {
  static constexpr auto value = block;
};

/// What a layer's block is made of, read from the block's own record at run time.
struct Found {
  int heads, hidden;
  bool rotates;
  auto operator<=>(Found const&) const = default;
};
template <class Variant>
Found found(Variant const& block) {
  return std::visit(
      []<class B>(B const&) {
        constexpr auto record = RecordOf<B>::value;
        return Found{record.mixer.heads, record.channel.hidden,
                     std::same_as<std::remove_cvref_t<decltype(record.position)>, Rope>};
      },
      block);
}
Found expected(int layer) {
  return {(layer + 1) % 2 == 0 ? 4 : 2, (layer + 1) % 3 == 0 ? 24 : 16, (layer + 1) % 4 != 0};
}

template <int layers>
void layers_have_their_blocks() {
  CAPTURE(layers);
  using Kinds = lierne::detail::BlockKinds<mixed<layers>, 1>;
  std::set<Found> distinct;
  std::set<std::size_t> indices;
  for (int layer = 0; layer < layers; ++layer) {
    CAPTURE(layer);
    auto const block = Kinds::make(layer, layers);
    CHECK(found(block) == expected(layer));
    CHECK(Kinds::rotates(block.index()) == expected(layer).rotates);
    CHECK(Kinds::rotary_table(block.index(), 5, float32, at::kCPU).defined() == expected(layer).rotates);
    // First values by depth, whatever the type.
    std::visit([&](auto const& b) { CHECK(b.mixer.wo.weight.initial.deviation == 0.02 / std::sqrt(2.0 * (layer + 1))); },
               block);
    distinct.insert(expected(layer));
    indices.insert(block.index());
  }
  CHECK(Kinds::count == distinct.size());
  CHECK(indices.size() == distinct.size());
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

static_assert(lierne::detail::BlockKinds<mixed<1>, 1>::count == 1);
static_assert(lierne::detail::BlockKinds<mixed<12>, 1>::count == 6);  // even layers rotate always: 2·(1 + 2)
static_assert(std::same_as<lierne::detail::TypeList<int, char>::Add<int>, lierne::detail::TypeList<int, char>>);
static_assert(std::same_as<lierne::detail::BlockKinds<mixed<7>, 1>::First, Block<block_at<0>(mixed<7>)>>);
static_assert(!std::same_as<lierne::detail::BlockKinds<mixed<7>, 1>::First, lierne::detail::BlockKinds<mixed<7>, 2>::First>);

TEST_CASE("each layer has the block of its place in three periods at once") {
  layers_have_their_blocks<1>();
  layers_have_their_blocks<7>();
  layers_have_their_blocks<9>();
  layers_have_their_blocks<12>();
  layers_have_their_blocks<26>();
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
