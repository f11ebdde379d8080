// SPDX-License-Identifier: Apache-2.0
// Two variants of one model in one binary: rotary positions, and none, on the same data with the same rule.
#include <lierne/lierne.hpp>

#include <cstdio>

namespace ln = lierne;

constexpr ln::Decoder base{.layers = 2, .width = 128, .vocab = 4096, .mixer = ln::Attention{.heads = 4}};
constexpr auto nope = ln::with(base, ln::NoPosition{});

template <auto spec>
double bits_per_byte(ln::Options const& options) {
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(128) | ln::shuffle(42) | ln::batch(8);
  auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 3e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
  ln::Trainer trainer{ln::Model<spec>{}, ln::scheduled(rule, ln::warmup(20) | ln::cosine_to(0.1)), options};
  return trainer.fit(data).bits_per_byte;
}

int main(int argc, char** argv) {
  auto options = ln::Options::parse(argc, argv);
  std::printf("rope %.4f bits/byte\n", bits_per_byte<base>(options));
  std::printf("nope %.4f bits/byte\n", bits_per_byte<nope>(options));
}
