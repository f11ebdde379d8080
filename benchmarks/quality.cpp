// SPDX-License-Identifier: Apache-2.0
// Trains example 01's model on text and writes down all that Python PyTorch needs to repeat the run.
//   bench_quality --out DIR [--steps 300] [--data DIR] [--tokenizer FILE] [--threads 2] [--precision fp32|bf16]
// benchmarks/quality.py says what the files in DIR hold, runs this program, and repeats its run with the peer.
#include <lierne/lierne.hpp>

#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/tensor/memory.hpp"

namespace {

namespace ln = lierne;
using json = nlohmann::ordered_json;

constexpr ln::Decoder small_llama{.layers = 6,
                                  .width = 256,
                                  .vocab = 4096,
                                  .mixer = ln::Attention{.heads = 4, .kv_heads = 2},
                                  .position = ln::Rope{.base = 1e4},
                                  .channel = ln::SwiGlu{.hidden = 768}};

struct Settings {
  std::filesystem::path out;
  std::int64_t steps = 300;
  std::string data = "data/austen";
  std::string tokenizer = "tests/golden/tokenizer/tokenizer.json";
  int threads = 2;
  std::string precision = "fp32";
};

constexpr double rate = 2e-3, decay = 0.1, clip = 1.0;
constexpr std::int64_t length = 256, rows = 8, warmup = 50;
constexpr double last_factor = 0.05;

// Batches one after the other: the ids of all tokens, then those of all labels.
class BatchFile {
 public:
  explicit BatchFile(std::filesystem::path const& path) : out_(path, std::ios::binary) {
    ln::check<ln::FileError>(out_.good(), path.string(), ": cannot be written");
  }
  void write(ln::Batch const& batch) {
    put(batch.tokens.contiguous());
    put(batch.labels.contiguous());
  }

 private:
  void put(ln::Tensor const& ids) {
    out_.write(static_cast<char const*>(ids.const_data_ptr()), static_cast<std::streamsize>(ids.nbytes()));
  }
  std::ofstream out_;
};

template <auto spec>
int run(Settings const& settings) {
  std::filesystem::create_directories(settings.out);
  auto data = ln::text(settings.data, settings.tokenizer) | ln::pack(length) | ln::shuffle(42) | ln::batch(rows);
  auto const parts = ln::warmup(warmup) | ln::cosine_to(last_factor);
  auto const factor = ln::schedule(parts);
  auto rule = ln::clip_norm(clip) | ln::adamw({.rate = rate, .beta2 = 0.95}) | ln::decay(decay, ln::times_rate);
  auto const optimizer = ln::bind(ln::scheduled(rule, parts));

  ln::Model<spec> model;
  model.init({.seed = 42});
  std::vector<ln::Slot> slots;
  std::vector<std::pair<std::string, ln::Tensor>> weights;
  for (auto* parameter : model.parameters()) {
    slots.push_back({.name = parameter->name, .weight = parameter->owned});
    weights.emplace_back(parameter->name, parameter->owned.detach());
  }
  ln::write_safetensors((settings.out / "init.safetensors").string(), weights);

  json losses = json::array(), factors = json::array();
  BatchFile batches(settings.out / "batches.i64"), held_out(settings.out / "held_out.i64");
  double seconds = 0;
  for (std::int64_t step = 0; step < settings.steps; ++step) {
    auto const batch = data.next();
    batches.write(batch);
    ln::Clock clock;
    auto const mean = model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    ln::backward(mean);
    optimizer->step(slots, {.step = step, .total = settings.steps});
    losses.push_back(mean.template item<double>());
    factors.push_back(factor(step, settings.steps));
    seconds += clock.lap();
  }

  ln::NoGrad guard;
  double nats = 0;
  std::int64_t tokens = 0, bytes = 0;
  auto const validation = data.validation();
  for (std::int64_t i = 0; i < validation.size(); ++i) {
    auto const batch = validation[i];
    held_out.write(batch);
    nats += model.loss(batch.tokens, batch.labels, 1.0).template item<double>();
    tokens += batch.valid;
    bytes += batch.bytes;
  }
  json const config{{"layers", spec.layers},   {"width", spec.width},
                    {"heads", spec.mixer.heads}, {"kv_heads", spec.mixer.keys()},
                    {"hidden", spec.channel.hidden_size(spec.width)}, {"vocab", spec.vocab},
                    {"batch", rows},           {"length", length},
                    {"base", spec.position.base}, {"eps", spec.norm.epsilon},
                    {"rate", rate},            {"decay", decay},
                    {"clip", clip}};
  json const report{{"config", config},
                    {"precision", settings.precision},
                    {"steps", settings.steps},
                    {"factors", factors},
                    {"warmup", warmup},
                    {"last_factor", last_factor},
                    {"losses", losses},
                    {"held_out_batches", validation.size()},
                    {"held_out_tokens", tokens},
                    {"held_out_bytes", bytes},
                    {"held_out_loss", nats / static_cast<double>(tokens)},
                    {"seconds", seconds}};
  std::ofstream(settings.out / "run.json") << report.dump() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"trains example 01's model and writes down all that a peer needs to repeat it"};
  app.add_option("--out", settings.out, "folder for the files")->required();
  app.add_option("--steps", settings.steps)->check(CLI::PositiveNumber);
  app.add_option("--data", settings.data);
  app.add_option("--tokenizer", settings.tokenizer);
  app.add_option("--threads", settings.threads)->check(CLI::PositiveNumber);
  app.add_option("--precision", settings.precision)->check(CLI::IsMember({"fp32", "bf16"}));
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(settings.threads);
  ln::keep_freed_memory();
  if (settings.precision == "bf16") return run<ln::with(small_llama, ln::BFloat16{})>(settings);
  return run<small_llama>(settings);
}
