// SPDX-License-Identifier: Apache-2.0
// Times steps of update rules on demand: benchmarks/optim.py asks, in turn with the peers.
//   bench_optim        reads lines `RULE COUNT SHAPE THREADS` (adopt 200 64x64 2, phase/adamw 16 1024x1024 1) and answers
//                      each with `seconds of one step, bytes of state for a parameter`: the median of steps that take a tenth of a second, the first
//                      left out, as the peers'
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "lierne/optim/optim.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/memory.hpp"
#include "lierne/tensor/operations.hpp"

namespace {

namespace ln = lierne;

// Weights with gradients that stay, so that a timing holds the step alone.
class Problem {
 public:
  Problem(std::unique_ptr<ln::Optimizer> optimizer, std::int64_t count, ln::Shape const& shape)
      : optimizer_(std::move(optimizer)) {
    for (std::int64_t i = 0; i < count; ++i) {
      slots_.push_back({.name = "layers." + std::to_string(i) + ".weight", .weight = at::randn(shape)});
      gradients_.push_back(at::randn(shape));
    }
    for (int warm = 0; warm < 2; ++warm) step();
  }
  double median_step() {
    std::vector<double> times;
    double total = 0;
    step();
    while (times.size() < 2 || total < 0.1) total += times.emplace_back(step());
    auto const middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }
  double step() {
    for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].weight.mutable_grad() = gradients_[i];
    auto const start = std::chrono::steady_clock::now();
    optimizer_->step(slots_, {});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  double state_bytes() const {
    double bytes = 0, parameters = 0;
    for (auto const& [key, tensor] : optimizer_->state()) bytes += static_cast<double>(tensor.nbytes());
    for (auto const& slot : slots_) parameters += static_cast<double>(slot.weight.numel());
    return bytes / parameters;
  }

 private:
  std::unique_ptr<ln::Optimizer> optimizer_;
  std::vector<ln::Slot> slots_;
  std::vector<ln::Tensor> gradients_;
};

template <class Rule>
std::unique_ptr<ln::Optimizer> make(Rule const& rule, std::string const& around) {
  if (around == "clip") return ln::bind(ln::clip_norm(1.0) | rule);
  if (around == "phase") return ln::bind(ln::clip_norm(1.0) | rule | ln::monitor({.every = 1, .only_global = false}));
  return ln::bind(rule);
}

// The rules of peers/optim.py by its names and settings; the others have no peer there.
std::unique_ptr<ln::Optimizer> optimizer(std::string name) {
  auto const slash = name.find('/');
  std::string const around = slash == std::string::npos ? "" : name.substr(0, slash);
  if (!around.empty()) name.erase(0, slash + 1);
  using namespace ln;
  if (name == "adamw") return make(adamw() | decay(0.005, times_rate), around);
  if (name == "decoupled_adamw") return make(adamw({.beta2 = 0.95}) | decay(0.005, times_schedule), around);
  if (name == "qhadamw") return make(qhadamw() | decay(0.005, times_schedule), around);
  if (name == "adopt") return make(adopt() | decay(0.005, times_rate), around);
  if (name == "qhadopt") return make(qhadopt() | decay(0.005, times_schedule), around);
  throw ArgumentError("bench_optim: no rule '" + name + "' (adamw, decoupled_adamw, qhadamw, adopt, qhadopt)");
}

ln::Shape shape_of(std::string const& text) {
  ln::Shape shape;
  std::istringstream in(text);
  for (std::string extent; std::getline(in, extent, 'x');) shape.push_back(std::stoll(extent));
  return shape;
}

}  // namespace

int main() {
  ln::NoGrad const no_grad;
  ln::keep_freed_memory();
  std::unique_ptr<Problem> problem;
  std::string held;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string name, shape;
    std::int64_t count = 0;
    int threads = 0;
    ln::check(static_cast<bool>(in >> name >> count >> shape >> threads),
              "bench_optim: expected `RULE COUNT SHAPE THREADS`, found '", line, "'");
    at::set_num_threads(threads);
    if (held != line) problem = std::make_unique<Problem>(optimizer(name), count, shape_of(shape));
    held = line;
    std::cout << problem->median_step() << ' ' << problem->state_bytes() << std::endl;
  }
}
