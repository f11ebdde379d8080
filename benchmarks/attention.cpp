// SPDX-License-Identifier: Apache-2.0
// Times masked attention for benchmarks/attention.py. Reads lines `MASK LENGTH THREADS`, answers each with the seconds of a
// forward pass and of a forward and a backward pass. Heads, sizes and documents are those of attention.py.
#include <lierne/nn/kernel/attention.hpp>
#include <lierne/nn/mask.hpp>

#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/operations.hpp"

namespace {

namespace ln = lierne;

constexpr int end_token = 1;
constexpr std::int64_t heads = 4, size = 64;

/// Documents of these lengths, again and again.
ln::Tensor tokens_of(std::int64_t length) {
  constexpr std::int64_t lengths[] = {128, 300, 1000, 57, 640};
  auto const tokens = at::zeros({1, length}, at::TensorOptions().dtype(ln::int64));
  std::int64_t end = -1;
  for (int i = 0; (end += lengths[i % 5]) < length; ++i) tokens[0][end] = end_token;
  return tokens;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main() {
  std::map<std::string, ln::MaskMaker> const masks{
      {"causal", ln::mask_maker<ln::Causal{}>()},
      {"fixed_block", ln::mask_maker<ln::FixedBlock{.size = 256}>()},
      {"window", ln::mask_maker<ln::SlidingWindow{.size = 256}>()},
      {"documents", ln::mask_maker<ln::Documents{.end = end_token}>()},
      {"block_documents", ln::mask_maker<ln::FixedBlock{.size = 256} & ln::Documents{.end = end_token}>()}};
  std::string mask;
  std::int64_t length = 0;
  int threads = 0;
  while (std::cin >> mask >> length >> threads) {
    at::set_num_threads(threads);
    auto const tokens = tokens_of(length);
    auto const draw = [&] { return at::randn({1, length, heads, size}); };
    auto const q = draw().requires_grad_(), k = draw().requires_grad_(), v = draw().requires_grad_(), upstream = draw();
    auto const start = std::chrono::steady_clock::now();
    auto const maker = masks.at(mask);  // what a forward pass makes once for all its layers is counted here
    auto const out = ln::kernel::attention(q, k, v, maker ? maker(tokens) : ln::VisibleKeys{});
    double const forward = seconds_since(start);
    ln::backward((out * upstream).sum());
    std::printf("%.6f %.6f\n", forward, seconds_since(start));
    std::fflush(stdout);
  }
  return 0;
}
