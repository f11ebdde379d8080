// SPDX-License-Identifier: Apache-2.0
// The records of channel mixers: the feed-forward half of a block.
#pragma once

#include <cstdint>
#include <string>

#include "lierne/core/roles.hpp"

namespace lierne {

/// The gated feed-forward W2(silu(W1 x) ⊙ W3 x) (Shazeer 2020, arXiv 2002.05202).
/// The hidden size is `hidden` where given; else Llama's rule: trunc(8/3 · width), times `multiplier` (truncated),
/// rounded up to `multiple_of`. Source: torchtitan models/llama3.
struct SwiGlu {
  static constexpr Role role = Role::channel;

  int hidden = 0;         ///< 0: by the rule
  double multiplier = 0;  ///< 0: none
  int multiple_of = 256;

  constexpr int hidden_size(int width) const {
    if (hidden != 0) return hidden;
    auto size = static_cast<std::int64_t>(2.0 * (4.0 * width) / 3.0);
    if (multiplier != 0) size = static_cast<std::int64_t>(multiplier * static_cast<double>(size));
    return static_cast<int>((size + multiple_of - 1) / multiple_of * multiple_of);
  }
  /// Weights of w1, w2 and w3.
  constexpr std::int64_t parameters(int width) const { return 3LL * width * hidden_size(width); }
  std::string name() const { return "swiglu" + (hidden ? " " + std::to_string(hidden) : std::string{}); }
  friend constexpr bool operator==(SwiGlu const&, SwiGlu const&) = default;
};

}  // namespace lierne
