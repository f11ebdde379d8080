// SPDX-License-Identifier: Apache-2.0
// Train a small Llama on text: `script/train`, or `01_train --data folder --tokenizer tokenizer.json`.
#include <lierne/lierne.hpp>

#include <cstdio>

namespace ln = lierne;

constexpr ln::Decoder small_llama{.layers = 6,
                                  .width = 256,
                                  .vocab = 4096,
                                  .mixer = ln::Attention{.heads = 4, .kv_heads = 2},
                                  .position = ln::Rope{.base = 1e4},
                                  .channel = ln::SwiGlu{.hidden = 768}};

int main(int argc, char** argv) {
  auto options = ln::Options::parse(argc, argv);
  auto rule = ln::clip_norm(1.0) | ln::adamw({.rate = 2e-3, .beta2 = 0.95}) | ln::decay(0.1, ln::times_rate);
  auto schedule = ln::warmup(50) | ln::cosine_to(0.05);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(256) | ln::shuffle(options.data_seed) | ln::batch(8) |
              ln::prefetch(4);
  ln::Trainer trainer{ln::Model<small_llama>{}, ln::scheduled(rule, schedule), options};
  auto result = trainer.fit(data);
  std::printf("held-out bits/byte: %.4f (token trigram %.4f)\n", result.bits_per_byte,
              ln::trigram_bits_per_byte(data.text()));
}
