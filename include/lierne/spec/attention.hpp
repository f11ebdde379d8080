// SPDX-License-Identifier: Apache-2.0
// The record of grouped-query attention and its options.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// How queries and keys are normalised, each head for itself, with the epsilon of the model's norm.
enum class QkNorm {
  none,
  weighted,   ///< RMSNorm with weights `q_norm` and `k_norm`, before the rotation (Qwen 3)
  weightless  ///< RMSNorm without weights, behind the rotation, on layers with a Rope (Llama 4 Scout)
};

/// Queries that grow with their position, on layers without a Rope, so that attention stays sharp over long texts.
/// Math: q *= 1 + scale · ln(1 + ⌊(t + 1) / floor⌋) at position t. `scale` 0 switches it off. Units: floor in tokens.
/// Source: Nakanishi 2025, arXiv:2501.19399, as Llama 4 has it.
struct QueryTemperature {
  double scale = 0;
  int floor = 8192;
  friend constexpr bool operator==(QueryTemperature const&, QueryTemperature const&) = default;
};

/// The temperature that Llama 4 was released with.
inline constexpr QueryTemperature llama4_temperature{.scale = 0.1, .floor = 8192};

/// Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): `heads` queries share `kv_heads` keys and values.
/// Math: softmax(q kᵀ / √d) v over the keys that the mask allows; key head j serves queries j·heads/kv_heads and following.
/// Errors (compile time): heads must divide the width unless head_size is given, kv_heads must divide heads, d must be even
/// under a Rope.
struct Attention {
  static constexpr Role role = Role::mixer;
  static constexpr std::string_view module_name = "attention";  ///< of its parameters below a block

  int heads = 8;
  int kv_heads = 0;   ///< 0: as many as heads (multi-head attention)
  int head_size = 0;  ///< d; 0: width / heads
  bool bias = false;  ///< of wq, wk and wv (Qwen 2.5)
  QkNorm qk_norm = QkNorm::none;
  QueryTemperature temperature{};

  constexpr int keys() const { return kv_heads == 0 ? heads : kv_heads; }
  /// d at a model width.
  constexpr int head_width(int width) const { return head_size == 0 ? width / heads : head_size; }
  /// Weights of wq, wk, wv and wo, biases, and weights of norms.
  constexpr std::int64_t parameters(int width) const {
    std::int64_t const size = head_width(width);
    return 2 * size * width * (heads + keys()) + (bias ? size * (heads + 2 * keys()) : 0) +
           (qk_norm == QkNorm::weighted ? 2 * size : 0);
  }
  /// Training FLOPs a token spends on the score and value products at sequence length S, no mask discounted.
  constexpr double sequence_flops(int width, double sequence) const {
    return 12.0 * heads * head_width(width) * sequence;
  }
  /// Example: `attention 8/2`, `attention 16/8 size 128 bias weighted qk norm`: what differs from the defaults.
  std::string name() const;
  friend constexpr bool operator==(Attention const&, Attention const&) = default;
};

#if LIERNE_BODIES
LIERNE_INLINE std::string Attention::name() const {
  constexpr char const* norms[] = {"", " weighted qk norm", " weightless qk norm"};
  return "attention " + std::to_string(heads) + "/" + std::to_string(keys()) +
         (head_size == 0 ? "" : " size " + std::to_string(head_size)) + (bias ? " bias" : "") +
         norms[static_cast<int>(qk_norm)] +
         (temperature.scale == 0
              ? ""
              : " temperature " + number(temperature.scale) + " (" + std::to_string(temperature.floor) + ")");
}
#endif

}  // namespace lierne
