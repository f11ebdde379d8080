// SPDX-License-Identifier: Apache-2.0
// The table of token embeddings.
#pragma once

#include "lierne/mesh/mesh.hpp"
#include "lierne/mesh/redistribute.hpp"
#include "lierne/nn/kernel/embedding.hpp"
#include "lierne/tensor/members.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Row `token` of the table. Shapes: tokens [B, L] → [B, L, D]; the table [V, D] is cut along V by the tensor axis.
/// Numerics: rows are read in the master dtype.
struct Embedding {
  Parameter weight;

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  /// This rank's summand: zeros for tokens whose row another rank holds.
  Tensor operator()(Tensor const& tokens, Group const& group) const;
};

#if LIERNE_BODIES
LIERNE_INLINE Tensor Embedding::operator()(Tensor const& tokens, Group const& group) const {
  auto const& table = weight();
  if (group.alone()) return kernel::embedding(table, tokens);
  auto const local = tokens - group.rank() * table.size(0);
  auto const mine = at::logical_and(local >= 0, local < table.size(0));
  auto const rows = kernel::embedding(table, at::where(mine, local, 0));
  return rows * mine.unsqueeze(-1);
}
#endif

}  // namespace lierne
