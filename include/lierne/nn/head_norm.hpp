// SPDX-License-Identifier: Apache-2.0
// Normalisation of queries and keys, each head for itself.
#pragma once

#include "lierne/nn/kernel/rms_norm.hpp"
#include "lierne/tensor/members.hpp"

namespace lierne {

/// x / √(mean(x²) + epsilon) ⊙ weight over the elements of each head, with the same weights for all heads.
/// Shapes: x [..., H], weight [H]. Numerics: in the weight's (master) dtype, one rounding to x's.
struct HeadNorm {
  Parameter weight;

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Tensor operator()(Tensor const& x, double epsilon) const {
    return kernel::rms_norm(x, weight(), epsilon, x.scalar_type());
  }
};

/// A HeadNorm that is declared but not yet allocated.
inline HeadNorm make_head_norm(std::int64_t head_size) {
  return {.weight = {.shape = {head_size}, .initial = Initial::ones(), .read_as = ReadAs::master, .kind = Kind::norm}};
}

/// The same without weights.
inline Tensor weightless_head_norm(Tensor const& x, double epsilon) {
  auto const wide = x.scalar_type() == float64 ? float64 : float32;
  return kernel::rms_norm(x, x.new_ones({x.size(-1)}, x.options().dtype(wide)), epsilon, x.scalar_type());
}

}  // namespace lierne
