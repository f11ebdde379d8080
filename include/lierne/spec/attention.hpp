// SPDX-License-Identifier: Apache-2.0
// The record of grouped-query attention.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lierne/core/roles.hpp"

namespace lierne {

/// Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): `heads` queries share `kv_heads` keys and values.
/// Math: softmax(q kᵀ / √d) v with d = width / heads; key head j serves queries j·heads/kv_heads and following.
/// Errors (compile time): heads must divide the width, kv_heads must divide heads, d must be even under a Rope.
struct Attention {
  static constexpr Role role = Role::mixer;
  static constexpr std::string_view module_name = "attention";  ///< of its parameters below a block

  int heads = 8;
  int kv_heads = 0;  ///< 0: as many as heads (multi-head attention)

  constexpr int keys() const { return kv_heads == 0 ? heads : kv_heads; }
  constexpr int head_size(int width) const { return width / heads; }
  /// Weights of wq, wk, wv and wo.
  constexpr std::int64_t parameters(int width) const {
    return std::int64_t{2} * width * head_size(width) * (heads + keys());
  }
  /// Training FLOPs a token spends on the score and value products at sequence length S, causality not discounted.
  constexpr double sequence_flops(int width, double sequence) const {
    return 12.0 * heads * head_size(width) * sequence;
  }
  std::string name() const { return "attention " + std::to_string(heads) + "/" + std::to_string(keys()); }
  friend constexpr bool operator==(Attention const&, Attention const&) = default;
};

}  // namespace lierne
