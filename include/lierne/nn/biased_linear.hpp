// SPDX-License-Identifier: Apache-2.0
// The product with a weight matrix, and a bias.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/nn/linear.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// y = x Wᵀ + b. Shapes: x [..., in], weight [out, in], bias [out], y [..., out].
/// Numerics: in the dtype of the materialised weight, which x must have; one rounding of product and sum together. A
/// product in eight bits (see `Linear`) is rounded before the bias is added.
struct BiasedLinear {
  Linear product;
  Parameter bias;

  static void members(auto& self, auto&& visit) {
    visit("weight", self.product.weight);
    visit("bias", self.bias);
  }

  Tensor operator()(Tensor const& x) const;
};

/// A BiasedLinear that is declared but not yet allocated; biases start at 0. `tensor_dim` 0 cuts weight and bias alike.
inline BiasedLinear make_biased_linear(std::int64_t in, std::int64_t out, Initial initial, int tensor_dim = Parameter::whole) {
  return {.product = make_linear(in, out, initial, tensor_dim),
          .bias = {.shape = {out}, .initial = Initial::zeros(), .tensor_dim = tensor_dim, .kind = Kind::vector}};
}

#if LIERNE_BODIES
LIERNE_INLINE Tensor BiasedLinear::operator()(Tensor const& x) const {
  if (product.weight.product == Product::fp8) return product(x) + bias();
  if (!kernel::widens(x)) return at::linear(x, product.weight(), bias());
  // Rounding the product first would lose the bias of a large one.
  return at::linear(x.to(float32), product.weight().to(float32), bias().to(float32)).to(x.scalar_type());
}
#endif

}  // namespace lierne
