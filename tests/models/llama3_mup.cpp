// SPDX-License-Identifier: Apache-2.0
#include "lierne/models/llama3_mup.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "lierne/spec/name.hpp"

using namespace lierne;
using namespace lierne::models;

static_assert(fits(llama3_mup_16m) && fits(llama3_mup_1_3b, Plan{.shard = rest, .tensor = 8}, 64));

namespace {

// Every field of the original's configuration that the record has, and every count.
template <class Spec>
void compare(Spec const& spec, nlohmann::json const& preset) {
  auto const& config = preset.at("config");
  auto const& mup = config.at("mup_config");
  auto const& first_values = config.at("init_config");
  CHECK(spec.width == config.at("dim").get<int>());
  CHECK(spec.layers == config.at("n_layers").get<int>());
  CHECK(spec.vocab == config.at("vocab_size").get<int>());
  CHECK(spec.mixer.heads == config.at("n_heads").get<int>());
  CHECK(spec.channel.hidden_size(spec.width) == preset.at("dense_hidden").get<int>());
  CHECK(spec.norm.epsilon == config.at("norm_eps").get<double>());
  CHECK(spec.position == Rope{.base = config.at("rope_theta").get<double>()});
  CHECK((spec.mask.name() == "causal") == (config.at("attn_mask_type") == "causal"));
  CHECK(spec.tied == config.at("tie_word_embeddings").get<bool>());
  CHECK(spec.embedding_norm == config.at("use_embedding_norm").get<bool>());
  CHECK(spec.peri_norm == config.at("use_peri_norm").get<bool>());
  CHECK(spec.scaling.width_multiplier(spec.width) == mup.at("mup_width_multiplier").get<double>());
  CHECK(spec.scaling.depth_multiplier(spec.layers) == mup.at("completep_depth_multiplier").get<double>());
  CHECK(spec.scaling.exponent == mup.at("completep_depth_alpha_exp").get<double>());
  CHECK(spec.scaling.input == mup.at("mup_input_alpha").get<double>());
  CHECK(spec.scaling.output_factor == mup.at("mup_output_alpha").get<double>());
  CHECK(spec.scaling.deviation == first_values.at("init_std").get<double>());
  CHECK(spec.scaling.embedding().deviation == first_values.at("emb_init_std").get<double>());
  CHECK(parameters(spec).total() == preset.at("total_params_tied").get<std::int64_t>());
  CHECK(parameters(with(spec, field<"tied">(false))).total() == preset.at("total_params").get<std::int64_t>());
  CHECK(preset.at("flops_per_token").size() == 4);
  for (auto const& [sequence, flops] : preset.at("flops_per_token").items()) {
    CHECK(flops_per_token(spec, std::stod(sequence)) == flops.template get<double>());
  }
}

}  // namespace

TEST_CASE("every preset under muP has the original's configuration and counts") {
  std::ifstream file(LIERNE_GOLDEN "/presets.json");
  REQUIRE(file.good());
  auto const all = nlohmann::json::parse(file).at("llama3_mup");
  std::set<std::string> seen;
  auto const row = [&](auto const& spec, std::string const& key) {
    CAPTURE(key);
    seen.insert(key);
    compare(spec, all.at(key));
  };
  row(llama3_mup_16m, "16M");
  row(llama3_mup_125m, "125M");
  row(llama3_mup_720m, "720M");
  row(llama3_mup_1_3b, "1.3B");
  CHECK(seen.size() == all.size());
}

TEST_CASE("no two presets under muP share a name") {
  std::set<std::string> const names{name(llama3_mup_16m), name(llama3_mup_125m), name(llama3_mup_720m), name(llama3_mup_1_3b)};
  CHECK(names.size() == 4);
}
