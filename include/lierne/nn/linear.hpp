// SPDX-License-Identifier: Apache-2.0
// The product with a weight matrix.
#pragma once

#include "lierne/nn/kernel/fp8.hpp"
#include "lierne/nn/kernel/product.hpp"
#include "lierne/tensor/members.hpp"

namespace lierne {

/// y = x Wᵀ without bias. Shapes: x [..., in], weight [out, in], y [..., out].
/// Numerics: in the dtype of the materialised weight, which x must have (see kernel::linear), or, where the weight's
/// `product` says so, in eight bits (see kernel::fp8_linear).
struct Linear {
  Parameter weight;

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }

  Tensor operator()(Tensor const& x) const {
    return weight.product == Product::fp8 ? kernel::fp8_linear(x, weight()) : kernel::linear(x, weight());
  }
};

/// A Linear whose weight is declared but not yet allocated. `tensor_dim` is the weight's dimension that the tensor axis
/// cuts: 0 gives each rank some outputs, 1 some inputs (the result is then a summand).
inline Linear make_linear(std::int64_t in, std::int64_t out, Initial initial, int tensor_dim = Parameter::whole) {
  return {.weight = {.shape = {out, in}, .initial = initial, .tensor_dim = tensor_dim, .product = Product::plain}};
}

}  // namespace lierne
