// SPDX-License-Identifier: Apache-2.0
// A model and a text small enough to train in a test.
#pragma once

#include <doctest/doctest.h>

#include "lierne/train/trainable.hpp"

namespace small {

using namespace lierne;

inline constexpr Decoder spec{.layers = 1, .width = 32, .vocab = 4096, .mixer = Attention{.heads = 2}};

inline constexpr auto experts = with(spec, Moe{.experts = 4, .top_k = 2, .hidden = 16});

/// Sentences that differ by a number, so that there is something to learn and something to hold out.
inline Text text() {
  static auto const tokenizer =
      std::make_shared<Tokenizer const>(Tokenizer::load(LIERNE_GOLDEN "/tokenizer/tokenizer.json"));
  std::vector<std::string> documents(2);
  for (int i = 0; i < 120; ++i) {
    documents[i % 2] += "It was the " + std::to_string(i) + "th day of the month, and the party went to Highbury. ";
  }
  return {tokenizer, documents};
}

inline auto data() { return text() | pack(16) | shuffle(7) | batch(4); }

}  // namespace small
