// SPDX-License-Identifier: Apache-2.0
#include "lierne/models/llama3.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "lierne/spec/name.hpp"

using namespace lierne;
using namespace lierne::models;

static_assert(flops_per_token(llama3_8b, 8192) == 57'914'449'920.0);
static_assert(flops_per_token(llama3_405b, 131072) == 5'669'507'530'752.0);
static_assert(flops_per_token(mosaic_llama3_8b, 2048) == 46'336'598'016.0);
static_assert(fits(llama3_8b) && fits(llama3_70b, Plan{.shard = rest, .tensor = 8}, 64));
static_assert(fits(llama3_405b, Plan{.shard = rest, .tensor = 8}) && !fits(llama3_405b, Plan{.tensor = 16}));
static_assert(mosaic_llama3_70b.mixer == llama3_70b.mixer && mosaic_llama3_70b.vocab == 50368);

namespace {

nlohmann::json presets() {
  std::ifstream file(LIERNE_GOLDEN "/presets.json");
  REQUIRE(file.good());
  return nlohmann::json::parse(file);
}

// Every field of the original's configuration that a dense record has, and every count.
template <class Spec>
void compare(Spec const& spec, nlohmann::json const& preset) {
  auto const& config = preset.at("config");
  auto const or_else = [&](char const* key, auto fallback) {
    return config.at(key).is_null() ? fallback : config.at(key).template get<decltype(fallback)>();
  };
  CHECK(spec.width == config.at("dim").get<int>());
  CHECK(spec.layers == config.at("n_layers").get<int>());
  CHECK(spec.vocab == config.at("vocab_size").get<int>());
  CHECK(spec.mixer.heads == config.at("n_heads").get<int>());
  CHECK(spec.mixer.keys() == or_else("n_kv_heads", spec.mixer.heads));
  CHECK(spec.mixer.head_width(spec.width) == preset.at("head_dim").get<int>());
  CHECK(spec.channel.multiple_of == config.at("multiple_of").get<int>());
  CHECK(spec.channel.multiplier == or_else("ffn_dim_multiplier", 0.0));
  CHECK(spec.channel.hidden_size(spec.width) == preset.at("dense_hidden").get<int>());
  CHECK(spec.norm.epsilon == config.at("norm_eps").get<double>());
  CHECK(spec.position == Rope{.base = config.at("rope_theta").get<double>()});
  CHECK(spec.scaling.by_depth == config.at("depth_init").get<bool>());
  CHECK(parameters(spec).total() == preset.at("total_params").get<std::int64_t>());
  CHECK(parameters(spec).embedding == preset.at("params_by_kind").at("embedding").get<std::int64_t>());
}

template <class Spec>
void compare_flops(Spec const& spec, nlohmann::json const& preset) {
  CHECK(preset.at("flops_per_token").size() >= 3);
  for (auto const& [sequence, flops] : preset.at("flops_per_token").items()) {
    CHECK(flops_per_token(spec, std::stod(sequence)) == flops.template get<double>());
  }
}

}  // namespace

TEST_CASE("every Llama 3 preset has the original's configuration and counts") {
  auto const all = presets();
  std::set<std::string> seen;
  auto const row = [&](auto const& spec, auto const& mosaic, std::string const& key) {
    CAPTURE(key);
    seen.insert(key);
    auto const& preset = all.at("llama3").at(key);
    compare(spec, preset);
    compare_flops(spec, preset);
    CHECK(preset.at("flops_per_token").size() == 4);  // S = 256, 2048, 8192, 131072
    auto const& small = all.at("mosaic_llama3").at(key);
    CHECK(mosaic.vocab == small.at("vocab_size").template get<int>());
    CHECK(parameters(mosaic).total() == small.at("total_params").template get<std::int64_t>());
    compare_flops(mosaic, small);
  };
  row(llama3_debugmodel, mosaic_llama3_debugmodel, "debugmodel");
  row(llama3_debugmodel_flex_attn, mosaic_llama3_debugmodel, "debugmodel_flex_attn");
  row(llama3_8b, mosaic_llama3_8b, "8B");
  row(llama3_70b, mosaic_llama3_70b, "70B");
  row(llama3_405b, mosaic_llama3_405b, "405B");
  CHECK(seen.size() == all.at("llama3").size());
  CHECK(seen.size() == all.at("mosaic_llama3").size());
}

TEST_CASE("a Mosaic preset differs from its original in the vocabulary alone") {
  CHECK(with(mosaic_llama3_8b, field<"vocab">(128256)) == llama3_8b);
  CHECK(with(mosaic_llama3_405b, field<"vocab">(128256)) == llama3_405b);
}

TEST_CASE("no two presets share a name") {
  std::set<std::string> const names{name(llama3_debugmodel),        name(llama3_8b),        name(llama3_70b),
                                    name(llama3_405b),              name(mosaic_llama3_8b), name(mosaic_llama3_70b),
                                    name(mosaic_llama3_debugmodel), name(mosaic_llama3_405b)};
  CHECK(names.size() == 8);
}
