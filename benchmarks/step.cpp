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

struct Settings {
  std::string precision = "fp32";
  int threads = 2;
  std::size_t steps = 20;
  std::size_t warmup = 3;
  nlohmann::json config = nlohmann::json::object();

  std::int64_t number(char const* key, std::int64_t otherwise) const {
    return config.value(key, otherwise);
  }
};

template <auto spec>
bool describes(Settings const& settings) {
  return settings.number("layers", 6) == spec.layers && settings.number("width", 256) == spec.width &&
         settings.number("vocab", 4096) == spec.vocab && settings.number("heads", 4) == spec.mixer.heads &&
         settings.number("kv_heads", 2) == spec.mixer.keys() &&
         settings.number("hidden", 768) == spec.channel.hidden_size(spec.width);
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
  return usage("no model with these sizes is compiled in (see the records in benchmarks/step.cpp): " + settings.config.dump());
}
