// SPDX-License-Identifier: Apache-2.0
// Seconds of an optimizer step: rules in one fused pass against ATen's fused AdamW, and against the loop path.
//   bench_optim [--json FILE]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "lierne/optim/optim.hpp"
#include "lierne/tensor/autograd.hpp"

#include <ATen/Parallel.h>  // at::set_num_threads

namespace {

using namespace lierne;

struct Case {
  std::string name;
  double ours;
  double peer;
  std::string peer_name;
};

struct Sizes {
  char const* name;
  std::int64_t count;
  Shape shape;
};

// Weights with gradients that stay, so that a timing holds the step alone.
struct Problem {
  std::vector<Slot> slots;
  std::vector<Tensor> gradients;

  explicit Problem(Sizes const& sizes) {
    for (std::int64_t i = 0; i < sizes.count; ++i) {
      slots.push_back({.name = "layers." + std::to_string(i) + ".weight", .weight = at::randn(sizes.shape)});
      gradients.push_back(at::randn(sizes.shape));
    }
  }
  double seconds(Optimizer& optimizer) {
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i].weight.mutable_grad() = gradients[i];
    auto const start = std::chrono::steady_clock::now();
    optimizer.step(slots, {});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

// torch.optim.AdamW(fused=True) without its Python.
struct AtenFused {
  std::vector<Tensor> weights, gradients, averages, moments, steps;

  explicit AtenFused(Problem const& problem) : gradients(problem.gradients) {
    for (auto const& slot : problem.slots) {
      weights.push_back(slot.weight.clone());
      averages.push_back(at::zeros_like(slot.weight));
      moments.push_back(at::zeros_like(slot.weight));
      steps.push_back(at::zeros({}));
    }
  }
  double seconds() {
    auto const start = std::chrono::steady_clock::now();
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(weights, gradients, averages, moments, {}, steps, 1e-3, 0.9, 0.999, 0.1, 1e-8, false, false);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

// Medians of alternating runs: what disturbs one disturbs the other.
template <class Ours, class Peer>
std::pair<double, double> alternate(Ours ours, Peer peer, int rounds) {
  std::vector<double> times[2];
  ours();
  peer();
  for (int round = 0; round < rounds; ++round) {
    times[0].push_back(ours());
    times[1].push_back(peer());
  }
  return {median(times[0]), median(times[1])};
}

template <class Rule>
Case against_loop(char const* name, Rule const& rule, Sizes const& sizes, int threads) {
  Problem problem(sizes), other(sizes);
  auto const ours = bind(rule), peer = bind(rule, Path::loop);
  auto const [seconds, loop] =
      alternate([&] { return problem.seconds(*ours); }, [&] { return other.seconds(*peer); }, 7);
  return {std::string(name) + "/" + sizes.name + "/" + std::to_string(threads), seconds, loop, "loop path"};
}

Case adamw_against_fused(Sizes const& sizes, int threads) {
  Problem problem(sizes);
  auto const ours = bind(adamw() | decay(0.1, times_rate));
  AtenFused peer(problem);
  auto const [seconds, fused] = alternate([&] { return problem.seconds(*ours); }, [&] { return peer.seconds(); }, 21);
  return {std::string("adamw/") + sizes.name + "/" + std::to_string(threads), seconds, fused, "at::_fused_adamw_"};
}

}  // namespace

int main(int argc, char** argv) {
  NoGrad const no_grad;
  Sizes const large{"large", 16, {1024, 1024}}, matrices{"200x64x64", 200, {64, 64}}, vectors{"1000x64", 1000, {64}};
  std::vector<Case> cases;
  auto const add = [&](Case const& result) {
    std::printf("%-24s %9.3f ms  %-18s %9.3f ms  ratio %.3f\n", result.name.c_str(), 1e3 * result.ours,
                result.peer_name.c_str(), 1e3 * result.peer, result.peer / result.ours);
    std::fflush(stdout);
    cases.push_back(result);
  };
  for (int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (auto const& sizes : {large, matrices, vectors}) add(adamw_against_fused(sizes, threads));
    add(against_loop("adopt", adopt() | decay(0.1, times_rate), large, threads));
    add(against_loop("qhadamw", qhadamw() | decay(0.1, times_schedule), large, threads));
    add(against_loop("qhadopt", qhadopt() | decay(0.1, times_schedule), large, threads));
    add(against_loop("phase/adamw", clip_norm(1) | adamw() | decay(0.1, times_rate), large, threads));
  }
  if (argc == 3 && std::strcmp(argv[1], "--json") == 0) {
    std::ofstream out(argv[2]);
    out << "[";
    for (std::size_t i = 0; i < cases.size(); ++i) {
      auto const& result = cases[i];
      out << (i ? ",\n " : "\n ") << R"({"name": ")" << result.name << R"(", "ours": )" << result.ours << R"(, "peer": )"
          << result.peer << R"(, "peer_name": ")" << result.peer_name << R"(", "ratio": )" << result.peer / result.ours
          << R"(, "unit": "s"})";
    }
    out << "\n]\n";
  }
}
