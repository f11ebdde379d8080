// SPDX-License-Identifier: Apache-2.0
// Times lierne's training step and prints one JSON line, the line of benchmarks/peers/step.py.
//   bench_step --precision fp32|bf16 --threads 2 --steps 20 [--warmup 3] --config CONFIG
// benchmarks/step.py runs it in turn with the peers. Models are compile-time records, so CONFIG (a JSON text with the
// fields of peers/llama.py) must name one that is compiled here.
#include <lierne/lierne.hpp>

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "lierne/tensor/memory.hpp"
#include "lierne/tensor/operations.hpp"

namespace {

namespace ln = lierne;

constexpr ln::Decoder small{.layers = 6,
                            .width = 256,
                            .vocab = 4096,
                            .mixer = ln::Attention{.heads = 4, .kv_heads = 2},
                            .channel = ln::SwiGlu{.hidden = 768}};
constexpr ln::Decoder medium{.layers = 8,
                             .width = 512,
                             .vocab = 8192,
                             .mixer = ln::Attention{.heads = 8, .kv_heads = 2},
                             .channel = ln::SwiGlu{.hidden = 1536}};
/// Llama 4's debugmodel with fewer keys: experts in every second layer.
constexpr auto moe_small = ln::with(small, ln::every<2>(ln::Moe{.experts = 8, .hidden = 512}, ln::SwiGlu{.hidden = 768}));
/// Many small experts in every layer, two for a token.
constexpr auto moe_fine = ln::with(small, ln::Moe{.experts = 32, .top_k = 2, .hidden = 256});

struct Settings {
  std::string precision = "fp32";
  int threads = 2;
  std::size_t steps = 20;
  std::size_t warmup = 3;
  nlohmann::json config = nlohmann::json::object();

  std::int64_t number(char const* key, std::int64_t otherwise) const { return config.value(key, otherwise); }
};

// The sizes of a record's channel, under the names of peers/llama.py and peers/moe.py.
nlohmann::json sizes(ln::SwiGlu const& channel, int width) { return {{"hidden", channel.hidden_size(width)}}; }
nlohmann::json sizes(ln::Moe const& channel, int width) {
  return {{"experts", channel.experts}, {"expert_hidden", channel.hidden_size(width)}, {"top_k", channel.top_k}, {"interleave", 1}};
}
template <int N, ln::Phase phase>
nlohmann::json sizes(ln::Every<N, phase, ln::Moe, ln::SwiGlu> const& channel, int width) {
  auto both = sizes(channel.chosen, width);
  both.update(sizes(channel.others, width));
  both["interleave"] = N;
  return both;
}

template <auto spec>
bool describes(Settings const& settings) {
  auto all = sizes(spec.channel, spec.width);
  all.update({{"layers", spec.layers}, {"width", spec.width}, {"vocab", spec.vocab}, {"heads", spec.mixer.heads},
              {"kv_heads", spec.mixer.keys()}});
  bool const same_kind = settings.config.contains("experts") == all.contains("experts");
  return same_kind && std::ranges::all_of(all.items(), [&](auto const& size) {
    return settings.config.contains(size.key()) && settings.config[size.key()] == size.value();
  });
}

template <auto spec>
int run(Settings const& settings, ln::Clock const& clock) {
  auto const batch = settings.number("batch", 8), length = settings.number("length", 256);
  ln::Model<spec> model;
  model.init({.seed = 1234});
  auto rule = ln::clip_norm(settings.config.value("clip", 1.0)) |
              ln::adamw({.rate = settings.config.value("rate", 2e-3), .beta1 = 0.9, .beta2 = 0.95}) |
              ln::decay(settings.config.value("decay", 0.1), ln::times_rate);
  auto const optimizer = ln::bind(rule);
  std::vector<ln::Slot> slots;
  for (auto* parameter : model.parameters()) slots.push_back({.name = parameter->name, .weight = parameter->owned});

  std::vector<double> seconds;
  double first = 0, loss = 0;
  auto const count = static_cast<double>(batch * length);
  for (std::size_t step = 0; step < settings.warmup + settings.steps; ++step) {
    auto const window = at::randint(spec.vocab, {batch, length + 1}, at::TensorOptions().dtype(ln::int64));
    ln::Clock watch;
    auto const mean = model.loss(window.narrow(1, 0, length), window.narrow(1, 1, length), count);
    ln::backward(mean);
    model.update_expert_bias();
    optimizer->step(slots, {.step = static_cast<std::int64_t>(step)});
    loss = mean.template item<double>();
    seconds.push_back(watch.lap());
    if (step == 0) first = clock.elapsed();
  }
  seconds.erase(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(settings.warmup));
  std::sort(seconds.begin(), seconds.end());
  auto const middle = seconds.size() / 2;
  double const median = seconds.size() % 2 == 1 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
  std::cout << nlohmann::ordered_json{{"mode", "lierne"},
                                      {"precision", settings.precision},
                                      {"form", "plain"},
                                      {"threads", settings.threads},
                                      {"steps", settings.steps},
                                      {"step_seconds", median},
                                      {"best_step_seconds", seconds.front()},
                                      {"tokens_per_s", count / median},
                                      {"peak_bytes", ln::peak_resident_bytes()},
                                      {"first_step_seconds", first},
                                      {"loss", loss}}
                   .dump()
            << '\n';
  return 0;
}

template <auto spec>
int run_in_precision(Settings const& settings, ln::Clock const& clock) {
  if (settings.precision == "bf16") return run<ln::with(spec, ln::BFloat16{})>(settings, clock);
  return run<spec>(settings, clock);
}

int usage(std::string const& why) {
  std::cerr << "bench_step: " << why << "\nusage: bench_step [--precision fp32|bf16] [--threads N] [--steps N]"
            << " [--warmup N] [--config JSON]\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  ln::Clock const clock;
  ln::keep_freed_memory();
  Settings settings;
  for (int i = 1; i < argc; i += 2) {
    std::string const option = argv[i];
    if (i + 1 == argc) return usage(option + " needs a value");
    std::string const value = argv[i + 1];
    if (option == "--precision" && (value == "fp32" || value == "bf16")) {
      settings.precision = value;
    } else if (option == "--threads") {
      settings.threads = std::stoi(value);
    } else if (option == "--steps") {
      settings.steps = std::stoul(value);
    } else if (option == "--warmup") {
      settings.warmup = std::stoul(value);
    } else if (option == "--config") {
      settings.config = nlohmann::json::parse(value);
    } else if (option != "--mode") {
      return usage("unknown option or value: " + option + " " + value);
    }
  }
  if (settings.steps == 0) return usage("--steps must be positive");
  at::set_num_threads(settings.threads);
  if (describes<small>(settings)) return run_in_precision<small>(settings, clock);
  if (describes<medium>(settings)) return run_in_precision<medium>(settings, clock);
  if (describes<moe_small>(settings)) return run_in_precision<moe_small>(settings, clock);
  if (describes<moe_fine>(settings)) return run_in_precision<moe_fine>(settings, clock);
  return usage("no model with these sizes is compiled in (see the records in benchmarks/step.cpp): " + settings.config.dump());
}
