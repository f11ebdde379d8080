// SPDX-License-Identifier: Apache-2.0
// Memory and time of a training pass under a policy of recomputation, or of the loss or the embedding alone over a large vocabulary; prints
// one JSON line, the line of benchmarks/peers/memory.py.
//   bench_memory --case none|selective|second|block|loss|embedding [--precision fp32|bf16] [--threads 2] [--steps 5]
// benchmarks/memory.py runs it in turn with the peer.
#include <lierne/lierne.hpp>

#include <ATen/Parallel.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "lierne/nn/kernel/embedding.hpp"
#include "lierne/tensor/counted_memory.hpp"
#include "lierne/tensor/memory.hpp"
#include "lierne/tensor/operations.hpp"

namespace {

namespace ln = lierne;

constexpr ln::Decoder model{.layers = 8,
                            .width = 512,
                            .vocab = 8192,
                            .mixer = ln::Attention{.heads = 8, .kv_heads = 2},
                            .channel = ln::SwiGlu{.hidden = 1536}};
constexpr std::int64_t rows = 4, length = 512;                         // of the model's batch
constexpr std::int64_t tokens = 1024, width = 512, classes = 131'072;  // of the loss and the embedding

struct Settings {
  std::string what = "none";
  std::string precision = "fp32";
  int threads = 2;
  std::size_t steps = 5;
};

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

/// Times `pass`, which leaves nothing behind, and counts what it takes at its worst.
int measure(Settings const& settings, std::function<double()> const& pass) {
  auto const before = resident_bytes();
  double value = pass();
  std::vector<double> seconds;
  for (std::size_t step = 0; step < settings.steps; ++step) {
    ln::Clock watch;
    value = pass();
    seconds.push_back(watch.lap());
  }
  auto const resident = ln::peak_resident_bytes() - before;
  ln::CountedMemory memory;
  pass();
  std::sort(seconds.begin(), seconds.end());
  std::cout << nlohmann::ordered_json{{"mode", "lierne"},
                                      {"case", settings.what},
                                      {"precision", settings.precision},
                                      {"step_seconds", seconds[seconds.size() / 2]},
                                      {"best_step_seconds", seconds.front()},
                                      {"peak_bytes", resident},
                                      {"counted_bytes", memory.peak()},
                                      {"value", value}}
                   .dump()
            << '\n';
  return 0;
}

template <auto spec>
int pass_of_model(Settings const& settings) {
  ln::Model<spec> decoder;
  decoder.init({.seed = 1234});
  auto const parameters = decoder.parameters();
  auto const window = at::randint(spec.vocab, {rows, length + 1}, at::TensorOptions().dtype(ln::int64));
  return measure(settings, [&] {
    auto const loss = decoder.loss(window.narrow(1, 0, length), window.narrow(1, 1, length), rows * length);
    ln::backward(loss);
    for (auto* p : parameters) p->owned.mutable_grad().reset();
    return loss.template item<double>();
  });
}

template <auto spec>
int under_policy(Settings const& settings) {
  if (settings.what == "selective") return pass_of_model<ln::with(spec, ln::RecomputeSelective{})>(settings);
  if (settings.what == "second") {
    return pass_of_model<ln::with(spec, ln::every<2>(ln::RecomputeBlock{}, ln::NoRecompute{}))>(settings);
  }
  if (settings.what == "block") return pass_of_model<ln::with(spec, ln::RecomputeBlock{})>(settings);
  return pass_of_model<spec>(settings);
}

int pass_of_loss(Settings const& settings) {
  auto hidden = at::randn({tokens, width}).requires_grad_(), weight = (at::randn({classes, width}) * 0.02).requires_grad_();
  auto const labels = at::randint(classes, {tokens}, at::TensorOptions().dtype(ln::int64));
  return measure(settings, [&] {
    auto const loss = ln::kernel::linear_cross_entropy(hidden, weight, labels, 1.0 / tokens);
    ln::backward(loss);
    hidden.mutable_grad().reset();
    weight.mutable_grad().reset();
    return loss.item<double>();
  });
}

int pass_of_embedding(Settings const& settings) {
  auto table = at::randn({classes, width}).requires_grad_();
  auto const places = at::randint(classes, {tokens}, at::TensorOptions().dtype(ln::int64));
  auto const upstream = at::randn({tokens, width});
  return measure(settings, [&] {
    auto const rows_of_tokens = ln::kernel::embedding(table, places);
    rows_of_tokens.backward(upstream);
    table.mutable_grad().reset();
    return rows_of_tokens.sum().item<double>();
  });
}

int usage(std::string const& why) {
  std::cerr << "bench_memory: " << why << "\nusage: bench_memory --case none|selective|second|block|loss|embedding"
            << " [--precision fp32|bf16] [--threads N] [--steps N]\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; i += 2) {
    std::string const option = argv[i];
    if (i + 1 == argc) return usage(option + " needs a value");
    std::string const value = argv[i + 1];
    if (option == "--case") {
      settings.what = value;
    } else if (option == "--precision" && (value == "fp32" || value == "bf16")) {
      settings.precision = value;
    } else if (option == "--threads") {
      settings.threads = std::stoi(value);
    } else if (option == "--steps") {
      settings.steps = std::stoul(value);
    } else {
      return usage("unknown option or value: " + option + " " + value);
    }
  }
  if (settings.steps == 0) return usage("--steps must be positive");
  ln::keep_freed_memory();
  at::set_num_threads(settings.threads);
  if (settings.what == "loss") return pass_of_loss(settings);
  if (settings.what == "embedding") return pass_of_embedding(settings);
  if (settings.what != "none" && settings.what != "selective" && settings.what != "second" && settings.what != "block") {
    return usage("unknown case: " + settings.what);
  }
  if (settings.precision == "bf16") return under_policy<ln::with(model, ln::BFloat16{})>(settings);
  return under_policy<model>(settings);
}
