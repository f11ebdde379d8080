// SPDX-License-Identifier: Apache-2.0
#include "lierne/models/llama4.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "lierne/spec/name.hpp"

using namespace lierne;
using namespace lierne::models;

static_assert(fits(llama4_debugmodel) && fits(llama4_17bx16e, Plan{.shard = rest}, 64));
static_assert(!fits(llama4_17bx128e, Plan{.tensor = 8}), "not yet");
static_assert(block_at<1>(llama4_17bx128e).channel.experts == 128);
static_assert(block_at<0>(llama4_17bx128e).channel.hidden_size(5120) == 16384);

namespace {

void compare(Moe const& moe, nlohmann::json const& preset) {
  auto const& config = preset.at("config");
  auto const& arguments = config.at("moe_args");
  CHECK(moe.experts == arguments.at("num_experts").get<int>());
  CHECK(moe.shared == arguments.at("num_shared_experts").get<int>());
  CHECK(moe.top_k == arguments.at("top_k").get<int>());
  CHECK((moe.score == Score::sigmoid) == (arguments.at("score_func") == "sigmoid"));
  CHECK(moe.route_norm == arguments.at("route_norm").get<bool>());
  CHECK(moe.route_scale == arguments.at("route_scale").get<double>());
  CHECK(moe.score_before_experts == arguments.at("score_before_experts").get<bool>());
  CHECK(moe.balance == arguments.at("load_balance_coeff").get<double>());
  CHECK(moe.auto_scale_hidden_dim == config.at("auto_scale_hidden_dim").get<bool>());
  CHECK(moe.hidden_size(config.at("dim")) == preset.at("expert_hidden").get<int>());
}

// Every field of the original's configuration that the record has, and every count.
template <class Spec>
void compare(Spec const& spec, nlohmann::json const& preset) {
  auto const& config = preset.at("config");
  auto const& keys = config.at("n_kv_heads");
  CHECK(spec.width == config.at("dim").get<int>());
  CHECK(spec.layers == config.at("n_layers").get<int>());
  CHECK(spec.vocab == config.at("vocab_size").get<int>());
  CHECK(spec.mixer.heads == config.at("n_heads").get<int>());
  CHECK(spec.mixer.keys() == (keys.is_null() ? spec.mixer.heads : keys.get<int>()));
  CHECK(spec.norm.epsilon == config.at("norm_eps").get<double>());
  CHECK(spec.scaling.by_depth == config.at("depth_init").get<bool>());
  auto const step = config.at("interleave_moe_layer_step").get<int>();
  CHECK(block_period(with(spec, Rope{}, Causal{})) == step);
  if constexpr (requires { spec.channel.chosen; }) {
    compare(spec.channel.chosen, preset);
    CHECK(spec.channel.others.hidden_size(spec.width) == preset.at("dense_hidden").get<int>());
  } else {
    compare(spec.channel, preset);
    CHECK(preset.at("dense_hidden").is_null());
  }
  CHECK(parameters(spec).total() == preset.at("total_params").get<std::int64_t>());
  CHECK(active_parameters(spec) == preset.at("active_params").get<std::int64_t>());
  CHECK(preset.at("flops_per_token").size() == 4);  // S = 256, 2048, 8192, 131072
  for (auto const& [sequence, flops] : preset.at("flops_per_token").items()) {
    CHECK(flops_per_token(spec, std::stod(sequence)) == flops.template get<double>());
  }
}

}  // namespace

TEST_CASE("every Llama 4 preset has the original's configuration and counts") {
  std::ifstream file(LIERNE_GOLDEN "/presets.json");
  REQUIRE(file.good());
  auto const all = nlohmann::json::parse(file).at("llama4");
  std::set<std::string> seen;
  auto const row = [&](auto const& spec, std::string const& key) {
    CAPTURE(key);
    seen.insert(key);
    compare(spec, all.at(key));
    CHECK(block_at<1>(spec).position == Rope{.base = all.at(key).at("config").at("rope_theta").template get<double>()});
  };
  row(llama4_debugmodel, "debugmodel");
  row(llama4_17bx16e, "17bx16e");
  row(llama4_17bx128e, "17bx128e");
  row(llama4_debugmodel_irope, "debugmodel_irope");
  row(llama4_17bx16e_irope, "17bx16e_irope");
  row(llama4_17bx128e_irope, "17bx128e_irope");
  CHECK(seen.size() == all.size());
}

TEST_CASE("iRoPE leaves the position out, and the block, on every fourth layer from the first") {
  constexpr auto spec = llama4_17bx128e_irope;
  auto const text = [](auto const& layer) {
    return layer.position.name() + ", " + layer.mask.name() + ", " + layer.channel.name().substr(0, 6);
  };
  CHECK(text(block_at<0>(spec)) == "nope, documents by 200001, swiglu");
  CHECK(text(block_at<1>(spec)) == "rope 500000, fixed block 8192 & documents by 200001, moe 12");
  CHECK(text(block_at<4>(spec)) == text(block_at<0>(spec)));
  CHECK(text(block_at<47>(spec)) == text(block_at<1>(spec)));
}

TEST_CASE("as released, Scout and Maverick see far on every fourth layer, the last of each four") {
  CHECK(block_at<3>(llama4_scout).position.name() + ", " + block_at<3>(llama4_scout).mask.name() == "nope, causal");
  CHECK(block_at<0>(llama4_scout).position == Rope{.base = 500000, .scaling = llama4_scaling});
  CHECK(block_at<0>(llama4_scout).mask == FixedBlock{.size = 8192});
  CHECK(block_at<0>(llama4_maverick).position == Rope{.base = 500000});
  CHECK(block_at<47>(llama4_maverick).mask.name() == "causal");
  CHECK(block_at<0>(llama4_maverick).mixer.qk_norm == QkNorm::none);
}

TEST_CASE("no two presets share a name") {
  std::set<std::string> const names{name(llama4_debugmodel),       name(llama4_17bx16e),       name(llama4_17bx128e),
                                    name(llama4_debugmodel_irope), name(llama4_17bx16e_irope), name(llama4_17bx128e_irope),
                                    name(llama4_scout),            name(llama4_maverick)};
  CHECK(names.size() == 8);
}
