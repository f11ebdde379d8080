// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/moe.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lierne/spec/channel.hpp"

using lierne::Moe;
using lierne::Role;
using lierne::Score;

static_assert(lierne::Fills<Moe, Role::channel>);
static_assert(Moe{}.hidden_size(256) == 512, "682 / 2 = 341, rounded up");
static_assert(Moe{.top_k = 2, .multiple_of = 16}.hidden_size(64) == 64, "170 / 3 = 56, rounded up");
static_assert(Moe{.shared = 0, .multiple_of = 1}.hidden_size(64) == 170);
static_assert(Moe{.multiple_of = 16, .auto_scale_hidden_dim = false}.hidden_size(64) == 176);
static_assert(Moe{.hidden = 100, .multiplier = 4}.hidden_size(64) == 100, "hidden wins, as it is");
static_assert(Moe{.experts = 4, .shared = 2, .hidden = 10}.parameters(8) == 3 * 8 * 10 * (4 + 2) + 4 * 8);
static_assert(Moe{.experts = 4, .top_k = 3, .hidden = 10}.active_parameters(8) == 3 * 8 * 10 * (3 + 1) + 4 * 8);

TEST_CASE("sizes and counts are the original's for every preset") {
  std::ifstream file(LIERNE_GOLDEN "/presets.json");
  REQUIRE(file.good());
  int compared = 0;
  auto const all = nlohmann::json::parse(file);
  for (auto const& [key, preset] : all.at("llama4").items()) {
    CAPTURE(key);
    auto const& config = preset.at("config");
    auto const& arguments = config.at("moe_args");
    auto const& multiplier = config.at("ffn_dim_multiplier");
    Moe const moe{.experts = arguments.at("num_experts"),
                  .top_k = arguments.at("top_k"),
                  .shared = arguments.at("num_shared_experts"),
                  .multiplier = multiplier.is_null() ? 0 : multiplier.get<double>(),
                  .multiple_of = config.at("multiple_of")};
    int const width = config.at("dim");
    CHECK(moe.hidden_size(width) == preset.at("expert_hidden").get<int>());
    auto const& kinds = preset.at("params_by_kind");
    std::int64_t const layers = preset.at("n_moe_layers");
    auto const kind = [&](char const* name) { return kinds.at(name).get<std::int64_t>(); };
    CHECK(layers * moe.parameters(width) == kind("router") + kind("shared_experts") + kind("routed_experts"));
    CHECK(layers * moe.active_parameters(width) ==
          kind("router") + kind("shared_experts") + kind("routed_experts") * moe.top_k / moe.experts);
    ++compared;
  }
  CHECK(compared == 6);
}

TEST_CASE("the rule in integers: truncated, divided, truncated, and up to the least multiple") {
  for (int width = 1; width <= 300; ++width) {
    for (int top_k : {1, 2, 6}) {
      for (int shared : {0, 1, 2}) {
        for (int multiple : {1, 16, 256}) {
          int least = 0;
          while (least < 8 * width / 3 / (top_k + shared)) least += multiple;
          REQUIRE(Moe{.top_k = top_k, .shared = shared, .multiple_of = multiple}.hidden_size(width) == least);
        }
      }
    }
  }
}

TEST_CASE("the name tells everything that changes training") {
  CHECK(Moe{}.name() == "moe 8 top 1 shared 1");
  CHECK(Moe{.experts = 64, .top_k = 6, .shared = 2, .score = Score::softmax, .route_norm = true, .route_scale = 2.5,
            .score_before_experts = false, .balance = 0, .hidden = 1408}
            .name() == "moe 64 top 6 shared 2 softmax norm scale 2.5 after bias 0 hidden 1408");
  CHECK(Moe{.auxiliary = 0.01, .forced_balance = true, .multiplier = 1.2, .multiple_of = 2048, .auto_scale_hidden_dim = false}
            .name() == "moe 8 top 1 shared 1 auxiliary 0.01 forced x1.2 by 2048 unscaled");
}
