// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/layer_of.hpp"

#include <doctest/doctest.h>

#include "lierne/nn/block.hpp"

using namespace lierne;

namespace {

struct Mine {
  static constexpr Role role = Role::mixer;
  int window = 3;

  template <auto block>
  struct Layer {
    static constexpr int width = block.width;
    static constexpr int window = block.mixer.window;
  };
};

struct Named {
  static constexpr std::string_view module_name = "recurrence";
};

constexpr auto record = block_at<0>(Decoder{.layers = 1, .width = 24, .vocab = 8, .mixer = Mine{.window = 5}});
using MineLayer = LayerOf<Mine>::layer<record>;

constexpr auto standard = block_at<0>(Decoder{.layers = 1, .width = 24, .vocab = 8});

}  // namespace

static_assert(std::is_same_v<MineLayer, Mine::Layer<record>>);
static_assert(MineLayer::width == 24 && MineLayer::window == 5);
static_assert(std::is_same_v<LayerOf<Attention>::layer<standard>, AttentionLayer<standard>>);
static_assert(std::is_same_v<LayerOf<SwiGlu>::layer<standard>, GluLayer<standard>>);
static_assert(std::is_same_v<LayerOf<RmsNorm>::layer<standard>, RmsNormLayer<standard>>);
static_assert(module_name<Named>("mixer") == "recurrence");
static_assert(module_name<Mine>("mixer") == "mixer");

TEST_CASE("the library's pieces have torchtitan's names") {
  CHECK(module_name<Attention>("mixer") == "attention");
  CHECK(module_name<SwiGlu>("channel") == "feed_forward");
}
