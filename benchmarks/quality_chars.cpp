// SPDX-License-Identifier: Apache-2.0
// Trains lierne's side of benchmarks/quality_chars.py on characters and prints one JSON line.
//   bench_quality_chars --data text.txt --tokenizer tokenizer.json [--recipe own|same] [--precision fp32|bf16] [--steps N]
//                       [--seed 1] [--threads 2]; the precision is that of the recipe same, own has bf16
//   bench_quality_chars --data text.txt --tokenizer tokenizer.json --ids FOLDER     writes train.u8 and held_out.u8, a byte an id
#include <lierne/lierne.hpp>

#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <numeric>
#include <span>

#include "lierne/tensor/memory.hpp"

namespace {

namespace ln = lierne;

constexpr std::int64_t length = 64;  // the peer's, and as far as either may look back
constexpr int vocab = 96;            // the novels have 82 different bytes
constexpr double held_out_part = 0.1;

/// nanoGPT's model as far as records have it: Rope stands for learned positions.
constexpr ln::Decoder same_model{.layers = 4,
                                 .width = 128,
                                 .vocab = vocab,
                                 .mixer = ln::Attention{.heads = 4},
                                 .channel = ln::Mlp<ln::Gelu>{},
                                 .norm = ln::LayerNorm{.bias = false},
                                 .scaling = ln::Standard{.by_depth = false, .embedding_deviation = 0.02},
                                 .tied = true};

/// A Llama of the same size: no product and no norm has a bias in either.
constexpr ln::Decoder own_model{.layers = 4,
                                .width = 128,
                                .vocab = vocab,
                                .mixer = ln::Attention{.heads = 4, .qk_norm = ln::QkNorm::weightless},
                                .channel = ln::SwiGlu{.hidden = 336},
                                .precision = ln::BFloat16{}};

struct Settings {
  std::string data, tokenizer, ids, recipe = "own", precision = "fp32";
  std::int64_t steps = 0, seed = 1;  // steps 0: those of the recipe
  int threads = 2;
};

/// How a model is trained.
struct Recipe {
  std::int64_t steps, rows;
  std::unique_ptr<ln::Optimizer> optimizer;
  std::string means;
};

Recipe same_recipe() {
  auto const rule = ln::clip_norm(1.0) | ln::adamw({.rate = 1e-3, .beta2 = 0.99}) | ln::decay(0.1, ln::times_rate);
  auto const groups = ln::groups(ln::on<ln::Kind::norm>({.decay = 0}), ln::otherwise());
  return {2000, 12, ln::bind(ln::scheduled(rule, ln::warmup(100) | ln::cosine_to(0.1), groups)),
          "the peer's model and rule, Rope in place of learned positions"};
}

/// Rates and length by a handful of runs whose held-out losses were looked at (docs/performance.md).
Recipe own_recipe() {
  auto const matrices =
      ln::clip_norm(1.0) | ln::muon<ln::NewtonSchulz, ln::IterationFormat::exact, ln::MuonScale::match_adam>({.rate = 2e-2}) |
      ln::decay(0.1, ln::times_rate);
  auto const rest = ln::clip_norm(1.0) | ln::adamw({.rate = 1e-2, .beta2 = 0.99}) | ln::decay(0.1, ln::times_rate);
  auto const groups = ln::groups(ln::on<ln::Kind::matrix>(matrices), ln::on<ln::Kind::norm>({.decay = 0}), ln::otherwise());
  return {320, 12, ln::bind(ln::scheduled(rest, ln::warmup(20) | ln::linear_to(0), groups)),
          "Rope, RMSNorm, SwiGLU and normalised queries and keys; bf16 products; Muon, and AdamW for embedding, norms and "
          "output, at larger rates; a linear schedule to 0 over fewer steps; windows without replacement"};
}

template <auto spec>
double held_out_loss(ln::Model<spec>& model, auto const& validation, std::int64_t& characters) {
  ln::NoGrad const guard;
  double nats = 0;
  characters = 0;
  for (std::int64_t i = 0; i < validation.size(); ++i) {
    auto const batch = validation[i];
    nats += model.loss(batch.tokens, batch.labels, 1.0).template item<double>();
    characters += batch.valid;
  }
  return nats / static_cast<double>(characters);
}

template <auto spec>
int run(Settings const& settings, Recipe const& recipe) {
  auto const seed = static_cast<std::uint64_t>(settings.seed);
  auto data = ln::text(settings.data, settings.tokenizer, {.validation = held_out_part}) | ln::pack(length) | ln::shuffle(seed) |
              ln::batch(recipe.rows);
  auto const total = settings.steps > 0 ? settings.steps : recipe.steps;
  ln::Model<spec> model;
  model.init({.seed = seed});
  std::vector<ln::Slot> slots;
  for (auto* parameter : model.parameters()) {
    slots.push_back({.name = parameter->name, .weight = parameter->owned, .kind = parameter->kind});
  }

  std::vector<double> seconds;
  ln::Clock clock;
  for (std::int64_t step = 0; step < total; ++step) {
    auto const batch = data.next();
    auto const mean = model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    ln::backward(mean);
    recipe.optimizer->step(slots, {.step = step, .total = total});
    seconds.push_back(clock.lap());
  }
  double const whole = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  std::ranges::sort(seconds);

  std::int64_t characters = 0;
  double const loss = held_out_loss(model, data.validation(256), characters);
  std::cout << nlohmann::ordered_json{{"recipe", settings.recipe},
                                      {"model", ln::name(spec)},
                                      {"means", recipe.means},
                                      {"threads", settings.threads},
                                      {"seed", settings.seed},
                                      {"parameters", ln::parameters(spec).total()},
                                      {"steps", total},
                                      {"seconds", whole},
                                      {"step_seconds", seconds[seconds.size() / 2]},
                                      {"held_out_loss", loss},
                                      {"held_out_characters", characters}}
                   .dump()
            << '\n';
  return 0;
}

/// The ids of both parts, one byte each, for the peer.
int write_ids(Settings const& settings) {
  auto const text = ln::text(settings.data, settings.tokenizer, {.validation = held_out_part});
  auto const write = [&](char const* name, std::span<ln::TokenId const> ids) {
    auto const path = std::filesystem::path(settings.ids) / name;
    std::ofstream out(path, std::ios::binary);
    for (auto const id : ids) {
      ln::check(id < vocab, "characters: expected at most ", vocab, " different bytes in the text, found id ", id);
      out.put(static_cast<char>(id));
    }
    ln::check<ln::FileError>(out.good(), path.string(), ": cannot be written");
  };
  write("train.u8", text.train());
  write("held_out.u8", text.validation());
  std::cout << nlohmann::ordered_json{{"train", text.train().size()}, {"held_out", text.validation().size()}}.dump() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"trains lierne's side of benchmarks/quality_chars.py"};
  app.add_option("--data", settings.data, "one text file")->required();
  app.add_option("--tokenizer", settings.tokenizer, "its tokenizer.json, whose tokens are bytes")->required();
  app.add_option("--ids", settings.ids, "only write the ids into this folder");
  app.add_option("--recipe", settings.recipe)->check(CLI::IsMember({"own", "same"}));
  app.add_option("--precision", settings.precision, "of the recipe same")->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--steps", settings.steps, "0: those of the recipe")->check(CLI::NonNegativeNumber);
  app.add_option("--seed", settings.seed);
  app.add_option("--threads", settings.threads)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(settings.threads);
  ln::keep_freed_memory();
  if (!settings.ids.empty()) return write_ids(settings);
  if (settings.recipe == "own") return run<own_model>(settings, own_recipe());
  if (settings.precision == "bf16") return run<ln::with(same_model, ln::BFloat16{})>(settings, same_recipe());
  return run<same_model>(settings, same_recipe());
}
