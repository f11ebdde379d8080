// SPDX-License-Identifier: Apache-2.0
// Normalisation layers.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/nn/kernel/rms_norm.hpp"
#include "lierne/nn/layer_of.hpp"
#include "lierne/spec/block.hpp"
#include "lierne/tensor/members.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

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

/// ATen's layer norm over the last dimension, in the weight's dtype, rounded to `compute`; without bias where it is undefined.
Tensor layer_norm(Tensor const& x, Tensor const& weight, Tensor const& bias, double epsilon, Dtype compute);

/// The layer of `LayerNorm`. Math: (x - mean(x)) / √(var(x) + epsilon) ⊙ weight + bias over the last dimension.
/// Numerics: computed in the weight's (master) dtype through ATen; the result is rounded once to `compute`.
template <auto block>
struct LayerNormLayer {
  Parameter weight{.shape = {block.width}, .initial = Initial::ones(), .read_as = ReadAs::master, .kind = Kind::norm};
  std::conditional_t<block.norm.bias, Parameter, NoLayer> bias = make_bias();

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

  Tensor operator()(Tensor const& x, Dtype compute) const {
    if constexpr (block.norm.bias) {
      return layer_norm(x, weight(), bias(), block.norm.epsilon, compute);
    } else {
      return layer_norm(x, weight(), {}, block.norm.epsilon, compute);
    }
  }

 private:
  static auto make_bias() {
    if constexpr (block.norm.bias) {
      return Parameter{.shape = {block.width}, .initial = Initial::zeros(), .read_as = ReadAs::master, .kind = Kind::norm};
    } else {
      return NoLayer{};
    }
  }
};

template <>
struct LayerOf<LayerNorm> {
  template <auto block>
  using layer = LayerNormLayer<block>;
};

template <>
struct LayerOf<RmsNorm> {
  template <auto block>
  using layer = RmsNormLayer<block>;
};

#if LIERNE_BODIES
LIERNE_INLINE Tensor layer_norm(Tensor const& x, Tensor const& weight, Tensor const& bias, double epsilon, Dtype compute) {
  return at::layer_norm(x.to(weight.scalar_type()), weight.sizes(), weight, bias, epsilon).to(compute);
}
#endif

}  // namespace lierne
