// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/channel.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

using namespace lierne;

static_assert(Fills<SwiGlu, Role::channel>);
static_assert(SwiGlu{}.hidden_size(256) == 768 && SwiGlu{.multiple_of = 1}.hidden_size(256) == 682);
static_assert(SwiGlu{.multiplier = 1.3, .multiple_of = 1024}.hidden_size(4096) == 14336);
static_assert(SwiGlu{.multiplier = 1.2, .multiple_of = 4096}.hidden_size(16384) == 53248);
static_assert(SwiGlu{.hidden = 1000, .multiplier = 4}.hidden_size(64) == 1000, "hidden wins, as it is");
static_assert(SwiGlu{.hidden = 96}.parameters(64) == 3 * 96 * 64);
static_assert(Fills<Glu<Gelu>, Role::channel> && Fills<Mlp<SquaredRelu>, Role::channel>);
static_assert(Glu{.multiplier = 1.3, .multiple_of = 1024}.hidden_size(4096) == 14336 && Glu{.hidden = 96}.parameters(64) == 3 * 96 * 64);
static_assert(Mlp{}.hidden_size(96) == 384 && Mlp{.multiplier = 0.5, .multiple_of = 128}.hidden_size(96) == 256);
static_assert(Mlp{.activation = SquaredRelu{}, .hidden = 96}.parameters(64) == 2 * 96 * 64);

// Every dense width that the original computed, muP's flavors (multiplier 4) and Llama 4's dense layers included.
TEST_CASE("hidden_size is the original's for every preset") {
  std::ifstream file(LIERNE_GOLDEN "/presets.json");
  REQUIRE(file.good());
  auto const all = nlohmann::json::parse(file);
  int compared = 0;
  for (char const* family : {"llama3", "llama3_mup", "llama4"}) {
    for (auto const& [key, preset] : all.at(family).items()) {
      if (preset.at("dense_hidden").is_null()) continue;
      CAPTURE(key);
      auto const& config = preset.at("config");
      auto const& multiplier = config.at("ffn_dim_multiplier");
      SwiGlu const channel{.multiplier = multiplier.is_null() ? 0 : multiplier.get<double>(),
                           .multiple_of = config.at("multiple_of").get<int>()};
      CHECK(channel.hidden_size(config.at("dim").get<int>()) == preset.at("dense_hidden").get<int>());
      ++compared;
    }
  }
  CHECK(compared >= 12);
}

TEST_CASE("the rule in integers: the least multiple that is not below the truncated size") {
  for (int width = 1; width <= 600; ++width) {
    for (int multiple : {1, 7, 64, 256}) {
      int const size = 8 * width / 3;
      int least = 0;
      while (least < size) least += multiple;
      REQUIRE(SwiGlu{.multiple_of = multiple}.hidden_size(width) == least);
      // A multiplier of 1.5 is exact in binary: 3/2 of the truncated size, truncated again.
      int grown = 0;
      while (grown < 3 * size / 2) grown += multiple;
      REQUIRE(SwiGlu{.multiplier = 1.5, .multiple_of = multiple}.hidden_size(width) == grown);
    }
  }
}

TEST_CASE("the name tells what the hidden size comes from") {
  CHECK(SwiGlu{}.name() == "swiglu");
  CHECK(SwiGlu{.hidden = 1408}.name() == "swiglu 1408");
  CHECK(SwiGlu{.multiplier = 1.3, .multiple_of = 1024}.name() == "swiglu x1.3 by 1024");
}

TEST_CASE("the names of feed-forwards tell activation and size") {
  CHECK(Glu{}.name() == "glu gelu");
  CHECK(Glu{.activation = Gelu{.approximate = true}, .hidden = 96}.name() == "glu gelu tanh 96");
  CHECK(Mlp{}.name() == "mlp gelu");
  CHECK(Mlp{.activation = SquaredRelu{}, .multiplier = 1.5, .multiple_of = 256}.name() == "mlp relu2 x1.5 by 256");
}
