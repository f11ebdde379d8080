// SPDX-License-Identifier: Apache-2.0
// The records of channel mixers: the feed-forward half of a block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"
#include "lierne/spec/activation.hpp"

namespace lierne {

namespace detail {

/// `size` times `multiplier`, truncated, unless that is 0; rounded up to `multiple_of`.
constexpr int rounded_size(std::int64_t size, double multiplier, int multiple_of) {
  if (multiplier != 0) size = static_cast<std::int64_t>(multiplier * static_cast<double>(size));
  return static_cast<int>((size + multiple_of - 1) / multiple_of * multiple_of);
}
/// The size in a name: the number itself, or what differs from the rule's defaults.
std::string size_name(int hidden, double multiplier, int multiple_of, int usual_multiple = 256);

}  // namespace detail

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
    return detail::rounded_size(static_cast<std::int64_t>(2.0 * (4.0 * width) / 3.0), multiplier, multiple_of);
  }
  /// Weights of w1, w2 and w3.
  constexpr std::int64_t parameters(int width) const { return 3LL * width * hidden_size(width); }
  /// Example: `swiglu`, `swiglu 1408`, `swiglu x1.3 by 1024`.
  std::string name() const { return "swiglu" + detail::size_name(hidden, multiplier, multiple_of); }
  friend constexpr bool operator==(SwiGlu const&, SwiGlu const&) = default;
};

/// SwiGlu with another activation: W2(a(W1 x) ⊙ W3 x). `Glu{.activation = Gelu{}}` is GeGLU. An activation of your own
/// has `Tensor operator()(Tensor const& x) const`, `==`, and a `name()`.
template <class Activation = Gelu>
struct Glu {
  static constexpr Role role = Role::channel;
  static constexpr std::string_view module_name = "feed_forward";

  Activation activation{};
  int hidden = 0;         ///< 0: by SwiGlu's rule
  double multiplier = 0;  ///< 0: none
  int multiple_of = 256;

  constexpr int hidden_size(int width) const { return SwiGlu{hidden, multiplier, multiple_of}.hidden_size(width); }
  constexpr std::int64_t parameters(int width) const { return 3LL * width * hidden_size(width); }
  std::string name() const { return "glu " + activation.name() + detail::size_name(hidden, multiplier, multiple_of); }
  friend constexpr bool operator==(Glu const&, Glu const&) = default;
};

/// The feed-forward without a gate: W2 a(W1 x). The hidden size is `hidden` where given; else 4 · width, times
/// `multiplier` (truncated), rounded up to `multiple_of`.
/// Source: Vaswani et al. 2017, arXiv 1706.03762; with SquaredRelu, Primer (arXiv 2109.08668).
template <class Activation = Gelu>
struct Mlp {
  static constexpr Role role = Role::channel;
  static constexpr std::string_view module_name = "feed_forward";

  Activation activation{};
  int hidden = 0;         ///< 0: by the rule
  double multiplier = 0;  ///< 0: none
  int multiple_of = 1;

  constexpr int hidden_size(int width) const {
    return hidden != 0 ? hidden : detail::rounded_size(4LL * width, multiplier, multiple_of);
  }
  /// Weights of w1 and w2.
  constexpr std::int64_t parameters(int width) const { return 2LL * width * hidden_size(width); }
  std::string name() const { return "mlp " + activation.name() + detail::size_name(hidden, multiplier, multiple_of, 1); }
  friend constexpr bool operator==(Mlp const&, Mlp const&) = default;
};

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE std::string size_name(int hidden, double multiplier, int multiple_of, int usual_multiple) {
  if (hidden != 0) return " " + std::to_string(hidden);
  return (multiplier != 0 ? " x" + number(multiplier) : std::string{}) +
         (multiple_of != usual_multiple ? " by " + std::to_string(multiple_of) : std::string{});
}

}  // namespace detail
#endif

}  // namespace lierne
