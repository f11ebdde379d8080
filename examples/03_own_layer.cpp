// SPDX-License-Identifier: Apache-2.0
// A layer of your own in a slot: a causal average of past inputs with learned decay instead of attention.
#include <lierne/lierne.hpp>

#include <cstdio>

#include "03_own_layer.hpp"

namespace ln = lierne;

constexpr ln::Decoder averager{.layers = 2, .width = 128, .vocab = 4096, .mixer = DecayedAverage{}, .channel = ln::SwiGlu{}};

int main(int argc, char** argv) {
  auto options = ln::Options::parse(argc, argv);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(128) | ln::shuffle(42) | ln::batch(8);
  auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 3e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
  ln::Trainer trainer{ln::Model<averager>{}, ln::scheduled(rule, ln::warmup(20) | ln::cosine_to(0.1)), options};
  std::printf("held-out bits/byte: %.4f\n", trainer.fit(data).bits_per_byte);
}
