// SPDX-License-Identifier: Apache-2.0
// The scaling slot: how first values and multipliers follow width and depth. Roots come from the compiler: <cmath> costs
// a unit 0.2 s.
#pragma once

#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// First values N(0, deviation²), restricted to [-bound, bound] unless bound is 0.
struct Normal {
  double deviation = 0;
  double bound = 0;
  friend constexpr bool operator==(Normal const&, Normal const&) = default;
};

/// The standard parametrisation with Llama's initial scales: N(0, 1) embedding, 0.02 (truncated at ±2) for input
/// products, 0.02/√(2·depth) for products that write to the residual stream, width^-½ (truncated at ±3σ) for the output.
/// `by_depth`: depth counts the block itself, l + 1; otherwise all layers. Source: torchtitan models/llama3.
struct Standard {
  static constexpr Role role = Role::scaling;
  static constexpr bool scales_branches = false;

  bool by_depth = true;
  double deviation = 0.02;
  double embedding_deviation = 1.0;

  Normal embedding() const { return {embedding_deviation}; }
  /// Of products that read the residual stream.
  Normal inward(int /*width*/) const { return {deviation, 2}; }
  /// Of products that write to it, and of those that torchtitan draws alike.
  Normal outward(int /*width*/, int layer, int layers) const {
    return {deviation / __builtin_sqrt(2.0 * (by_depth ? layer + 1 : layers)), 2};
  }
  Normal output(int width) const {
    double const root = 1 / __builtin_sqrt(static_cast<double>(width));
    return {root, 3 * root};
  }
  constexpr double input_multiplier() const { return 1; }
  constexpr double branch_multiplier(int /*layers*/) const { return 1; }
  constexpr double output_multiplier(int /*width*/) const { return 1; }
  /// The factor of q·k.
  double attention_scale(int head_size) const { return 1 / __builtin_sqrt(static_cast<double>(head_size)); }

  /// Example: `standard`, `standard 0.01 embedding 0.5 by layers`: what differs from the defaults.
  std::string name() const;
  friend constexpr bool operator==(Standard const&, Standard const&) = default;
};

/// The maximal-update parametrisation and, with `base_layers`, CompleteP: rates that are tuned on a base model hold for
/// a wider and deeper one. Its other half is `mup_groups` of the optimizer: `mup_groups(times_rate, spec)`.
/// Math, with m_N = width / base_width and m_L = layers / base_layers: hidden products start as N(0, σ²/m_N), all others
/// without a factor; h = input·E[token]; each branch is added times m_L^-exponent; logits times output/m_N; q·k times
/// 1/√d, or √(base_head_size)/d where it is given: the scale of Tensor Programs V, for heads that grow.
/// An untied output starts as wide as at the base, so that first logits fall as width^-½. torchtitan's fork (fl) starts it
/// with width^-½ (`.output_deviation` says so for a width), which lets them fall as 1/width and slows wide models
/// (docs/sweep.md). Sources: Yang et al. 2022, arXiv 2203.03466, table 8; Dey et al. 2025, arXiv 2505.01618.
struct MuP {
  static constexpr Role role = Role::scaling;
  static constexpr bool scales_branches = true;

  double base_width = 256;
  double base_layers = 0;          ///< 0: depth is not scaled
  double exponent = 1;             ///< α of CompleteP
  double deviation = 0.02;         ///< σ, at the base width
  double embedding_deviation = 0;  ///< 0: σ
  double output_deviation = 0;     ///< of an untied output; 0: base_width^-½
  double input = 1;
  double output_factor = 1;
  int base_head_size = 0;          ///< 0: q·k is scaled by 1/√d

  /// m_N and m_L.
  constexpr double width_multiplier(int width) const { return width / base_width; }
  constexpr double depth_multiplier(int layers) const { return base_layers == 0 ? 1 : layers / base_layers; }

  Normal embedding() const { return {embedding_deviation == 0 ? deviation : embedding_deviation}; }
  Normal inward(int width) const { return {deviation / __builtin_sqrt(width_multiplier(width))}; }
  Normal outward(int width, int /*layer*/, int /*layers*/) const { return inward(width); }
  Normal output(int /*width*/) const { return {output_deviation == 0 ? 1 / __builtin_sqrt(base_width) : output_deviation}; }
  constexpr double input_multiplier() const { return input; }
  double branch_multiplier(int layers) const { return __builtin_pow(depth_multiplier(layers), -exponent); }
  constexpr double output_multiplier(int width) const { return output_factor / width_multiplier(width); }
  double attention_scale(int head_size) const {
    double const size = head_size;
    return base_head_size == 0 ? 1 / __builtin_sqrt(size) : __builtin_sqrt(static_cast<double>(base_head_size)) / size;
  }

  /// Example: `mup 256`, `mup 256x4 input 10`: the base's width and layers, and what differs from the defaults.
  std::string name() const;
  friend constexpr bool operator==(MuP const&, MuP const&) = default;
};

#if LIERNE_BODIES
LIERNE_INLINE std::string Standard::name() const {
  return "standard" + (deviation != 0.02 ? " " + number(deviation) : std::string{}) +
         (embedding_deviation != 1 ? " embedding " + number(embedding_deviation) : std::string{}) +
         (by_depth ? "" : " by layers");
}

LIERNE_INLINE std::string MuP::name() const {
  std::string text = "mup " + number(base_width) + (base_layers == 0 ? "" : "x" + number(base_layers));
  auto const add = [&](char const* what, double value, double usual) {
    if (value != usual) text += std::string(" ") + what + " " + number(value);
  };
  add("exponent", exponent, 1);
  add("deviation", deviation, 0.02);
  add("embedding", embedding_deviation, 0);
  add("output", output_deviation, 0);
  add("input", input, 1);
  add("logits", output_factor, 1);
  add("head", base_head_size, 0);
  return text;
}
#endif

}  // namespace lierne
