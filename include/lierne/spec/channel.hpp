// SPDX-License-Identifier: Apache-2.0
// The records of channel mixers: the feed-forward half of a block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// The gated feed-forward W2(silu(W1 x) ⊙ W3 x) (Shazeer 2020, arXiv 2002.05202).
/// The hidden size is `hidden` where given; else Llama's rule: trunc(8/3 · width), times `multiplier` (truncated),
/// rounded up to `multiple_of`. Source: torchtitan models/llama3.
struct SwiGlu {
  static constexpr Role role = Role::channel;
  static constexpr std::string_view module_name = "feed_forward";  ///< of its parameters below a block

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
  /// Example: `swiglu`, `swiglu 1408`, `swiglu x1.3 by 1024`.
  std::string name() const {
    if (hidden != 0) return "swiglu " + std::to_string(hidden);
    return "swiglu" + (multiplier != 0 ? " x" + number(multiplier) : std::string{}) +
           (multiple_of != 256 ? " by " + std::to_string(multiple_of) : std::string{});
  }
  friend constexpr bool operator==(SwiGlu const&, SwiGlu const&) = default;
};

}  // namespace lierne
