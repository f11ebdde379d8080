// SPDX-License-Identifier: Apache-2.0
// Normalisation layers.
#pragma once

#include "lierne/nn/kernel/rms_norm.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/spec/block.hpp"
#include "lierne/tensor/members.hpp"

namespace lierne {

/// The layer of `RmsNorm`. Math: x / √(mean(x²) + epsilon) ⊙ weight over the last dimension.
/// Numerics: computed in the weight's (master) dtype; the result is rounded once to `compute`.
template <auto block>
struct RmsNormLayer {
  Parameter weight{.shape = {block.width}, .initial = Initial::ones(), .read_as = ReadAs::master,
                   .kind = Kind::norm};

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Tensor operator()(Tensor const& x, Dtype compute) const {
    return kernel::rms_norm(x, weight(), block.norm.epsilon, compute);
  }
  /// The residual stream after an addition, and its norm, in one pass.
  kernel::AddedNorm add(Tensor const& stream, Tensor const& delta, Dtype compute) const {
    return kernel::add_rms_norm(stream, delta, weight(), block.norm.epsilon, compute);
  }
};

template <>
struct LayerOf<RmsNorm> {
  template <auto block>
  using layer = RmsNormLayer<block>;
};

}  // namespace lierne
