// SPDX-License-Identifier: Apache-2.0
// docs/coming-from-torchtitan.md against the fields of the original, the options of the program, and the compiler.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "lierne/lierne.hpp"
#include "lierne/train/metrics_file.hpp"
#include "lierne/train/options_file.hpp"

namespace {

using Names = std::set<std::string>;

// The compiler refuses a member or a name that there is none of; the page is held to the same spelling. A class that derives may
// name any member of its base, a using-declaration any kind of entity.
#define MEMBER(Base, member)                            \
  [] {                                                  \
    struct Check : lierne::Base { using lierne::Base::member; }; \
    return #Base "::" #member;                          \
  }()
#define MEMBER_OF_TEMPLATE(Base, member)                                    \
  [] {                                                                      \
    struct Check : lierne::Base<> { using lierne::Base<>::member; };        \
    return #Base "::" #member;                                              \
  }()
#define NAME(name)                       \
  [] {                                   \
    using lierne::name;                  \
    return #name;                        \
  }()

Names members() {
  return {MEMBER_OF_TEMPLATE(AdamSettings, beta1), MEMBER_OF_TEMPLATE(AdamSettings, beta2), MEMBER_OF_TEMPLATE(AdamSettings, epsilon),
          MEMBER_OF_TEMPLATE(AdamSettings, rate), MEMBER(Attention, heads), MEMBER(Attention, kv_heads),
          MEMBER(Cooldown, smallest), MEMBER(CooldownLength, fraction),
          MEMBER_OF_TEMPLATE(Decoder, embedding_norm), MEMBER_OF_TEMPLATE(Decoder, layers), MEMBER_OF_TEMPLATE(Decoder, loss),
          MEMBER_OF_TEMPLATE(Decoder, mask), MEMBER_OF_TEMPLATE(Decoder, peri_norm), MEMBER_OF_TEMPLATE(Decoder, precision),
          MEMBER_OF_TEMPLATE(Decoder, scaling), MEMBER_OF_TEMPLATE(Decoder, tied), MEMBER_OF_TEMPLATE(Decoder, vocab),
          MEMBER_OF_TEMPLATE(Decoder, width), MEMBER(Documents, end), MEMBER(FixedBlock, size), MEMBER(Fp8, excluded),
          MEMBER(Moe, auto_scale_hidden_dim), MEMBER(Moe, balance), MEMBER(Moe, experts), MEMBER(Moe, forced_balance),
          MEMBER(Moe, multiple_of), MEMBER(Moe, multiplier), MEMBER(Moe, route_norm), MEMBER(Moe, route_scale), MEMBER(Moe, score),
          MEMBER(Moe, score_before_experts), MEMBER(Moe, shared), MEMBER(Moe, top_k), MEMBER(MuP, base_head_size),
          MEMBER(MuP, base_layers), MEMBER(MuP, base_width), MEMBER(MuP, deviation), MEMBER(MuP, embedding_deviation),
          MEMBER(MuP, exponent), MEMBER(MuP, input), MEMBER(MuP, output_deviation), MEMBER(MuP, output_factor), MEMBER(Position, epoch),
          MEMBER(RmsNorm, epsilon), MEMBER(Rope, base), MEMBER(Standard, by_depth), MEMBER(Standard, deviation),
          MEMBER(Standard, embedding_deviation), MEMBER(StepMetrics, data_seconds), MEMBER(StepMetrics, grad_norm),
          MEMBER(StepMetrics, loss), MEMBER(StepMetrics, rate), MEMBER(StepMetrics, seconds), MEMBER(StepMetrics, tokens),
          MEMBER(StepMetrics, tokens_per_s), MEMBER(SwiGlu, multiple_of), MEMBER(SwiGlu, multiplier), MEMBER(TextOptions, validation),
          MEMBER(Tokenizer, bos), MEMBER(Tokenizer, eos), MEMBER(Trainer, evaluate), MEMBER(ValidationMetrics, loss)};
}

Names names() {
  return {NAME(Batched), NAME(Batches), NAME(Fp8), NAME(MetricsFile), NAME(MupEpsilon), NAME(Optimizer), NAME(Options),
          NAME(PackOptions), NAME(Path), NAME(Plan), NAME(Position), NAME(Shard), NAME(Sink), NAME(Text), NAME(Tokenizer),
          NAME(TrainingStep), NAME(adamw), NAME(add_options_file), NAME(batch), NAME(in_backward), NAME(bytes), NAME(clip_norm),
          NAME(cosine_to), NAME(decay), NAME(every), NAME(every_from_first), NAME(gemm_peak), NAME(linear_to),
          NAME(mup_groups), NAME(pack), NAME(parallelise), NAME(preset), NAME(rules), NAME(scheduled), NAME(sqrt_to), NAME(warmup),
          NAME(weights_in)};
}

/// The options of a program with presets and rules.
Names options() {
  lierne::Options chosen;
  chosen.preset = "a";
  chosen.rule = "b";
  Names all;
  for (auto const& [name, value] : chosen.entries()) all.insert(name);
  return all;
}

/// The fields of the original: features of its training, and every field of a configuration, inner ones behind a point.
std::vector<std::string> training_fields() {
  std::vector<std::string> fields;
  auto const features = nlohmann::json::parse(std::ifstream(LIERNE_GOLDEN "/training_features.json"));
  for (auto const& [feature, all] : features.items()) fields.insert(fields.end(), all.begin(), all.end());
  return fields;
}

std::vector<std::string> configuration_fields() {
  Names fields;
  std::function<void(std::string const&, nlohmann::json const&)> const collect = [&](std::string const& prefix, nlohmann::json const& config) {
    for (auto const& [field, value] : config.items()) {
      if (value.is_object()) collect(prefix + field + ".", value);
      else fields.insert(prefix + field);
    }
  };
  auto const presets = nlohmann::json::parse(std::ifstream(LIERNE_GOLDEN "/presets.json"));
  for (char const* family : {"llama3", "llama4", "llama3_mup"}) {
    for (auto const& [flavour, preset] : presets.at(family).items()) collect("", preset.at("config"));
  }
  return {fields.begin(), fields.end()};
}

struct Page {
  std::string text;
  Page() {
    std::ifstream in(LIERNE_GOLDEN "/../../docs/coming-from-torchtitan.md");
    REQUIRE(in.good());
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
};

/// What is wrong with a page, row by row: fields without a row, with two, or of nobody; options, members and names that there are
/// none of; rows that say neither where nor why not.
std::vector<std::string> faults(std::string const& page) {
  static std::regex const row(R"(\| `([^`]+)` \| ([^|]*) \|([^|]*)\|)"), entry(R"((option|member|code) `([^`]+)`)");
  std::map<std::string, Names> const known{{"option", options()}, {"member", members()}, {"code", names()}};
  std::map<std::string, Names> unused = known;
  unused.erase("option");
  std::map<std::string, int> wanted, found;
  for (auto const& field : training_fields()) wanted[field] = 1;
  for (auto const& field : configuration_fields()) wanted[field] = 1;
  std::vector<std::string> said;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    std::smatch parts;
    if (!std::regex_match(line, parts, row)) {
      said.push_back("no row: " + line);
      continue;
    }
    std::string const field = parts[1], where = parts[2], how = parts[3];
    ++found[field];
    if (!wanted.contains(field)) said.push_back("of nobody: " + field);
    if (where == "not supported") {
      if (how.find_first_not_of(' ') == std::string::npos) said.push_back("no reason: " + field);
      continue;
    }
    std::string rebuilt;
    for (std::sregex_iterator one(where.begin(), where.end(), entry), end; one != end; ++one) {
      std::string const kind = (*one)[1], name = (*one)[2];
      (rebuilt += rebuilt.empty() ? "" : ", ") += kind + " `" + name + "`";
      if (!known.at(kind).contains(name)) said.push_back("no such " + kind + ": " + name);
      if (unused.contains(kind)) unused[kind].erase(name);
    }
    if (rebuilt.empty() || rebuilt != where) said.push_back("neither here nor not supported: " + field + ": " + where);
  }
  for (auto const& [field, once] : wanted) {
    if (found[field] != 1) said.push_back(std::to_string(found[field]) + " rows: " + field);
  }
  for (auto const& [kind, left] : unused) {
    for (auto const& name : left) said.push_back("on no row: " + kind + " " + name);
  }
  return said;
}

std::string replaced(std::string text, std::string const& what, std::string const& with) {
  auto const at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

bool says(std::string const& page, std::string const& fault) {
  auto const said = faults(page);
  return std::ranges::find(said, fault) != said.end();
}

}  // namespace

TEST_CASE("every field of the original has one row, and what the rows name is there") {
  CHECK(training_fields().size() > 100);
  CHECK(configuration_fields().size() > 40);
  CHECK(faults(Page().text) == std::vector<std::string>{});
}

TEST_CASE("planted faults are found") {
  auto const page = Page().text;
  auto const row = std::string("| `rope_theta` | member `Rope::base` | |\n");
  CHECK(says(replaced(page, row, ""), "0 rows: rope_theta"));
  CHECK(says(replaced(page, row, row + row), "2 rows: rope_theta"));
  CHECK(says(replaced(page, "| `rope_theta` |", "| `rope_tetha` |"), "of nobody: rope_tetha"));
  CHECK(says(replaced(page, "option `accumulate` | over", "option `accumulates` | over"), "no such option: accumulates"));
  CHECK(says(replaced(page, "`Rope::base`", "`Rope::theta`"), "no such member: Rope::theta"));
  CHECK(says(replaced(page, "`Rope::base`", "`Rope::theta`"), "on no row: member Rope::base"));
  CHECK(says(replaced(page, "code `clip_norm`", "code `clip`"), "no such code: clip"));
  CHECK(says(replaced(page, "member `Rope::base` |", "not supported |"), "no reason: rope_theta"));
  CHECK(says(replaced(page, "member `Rope::base` |", "somewhere |"), "neither here nor not supported: rope_theta: somewhere"));
}
