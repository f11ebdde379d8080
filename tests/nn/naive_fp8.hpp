// SPDX-License-Identifier: Apache-2.0
// Products in eight bits in plain ATen operators, none of them lierne's: the reference of tests.
#pragma once

#include <vector>

#include "lierne/tensor/dtype.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"

namespace naive_fp8 {

using namespace lierne;

/// What is left of t in eight bits, in float64: scale = largest / max(max |t|, 1e-12), as torchao's tensorwise recipe
/// has it; see make_fp8_golden.py.
inline Tensor rounded(Tensor const& t, Dtype format) {
  double const largest = format == float8_e4m3 ? 448 : 57344;
  auto const scale = (largest / t.abs().max().to(float64).clamp_min(1e-12)).to(float32);
  auto const codes = (t.to(float32) * scale).clamp(-largest, largest).to(format);
  return codes.to(float32).to(float64) * scale.reciprocal().to(float64);
}

struct Product : Function<Product> {
  static Tensor forward(AutogradContext* context, Tensor const& x, Tensor const& weight) {
    context->save_for_backward({x, weight});
    return at::mm(rounded(x, float8_e4m3), rounded(weight, float8_e4m3).t()).to(x.scalar_type());
  }
  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const &x = saved[0], &weight = saved[1];
    auto const dy = rounded(gradients[0], float8_e5m2);
    return {at::mm(dy, rounded(weight, float8_e4m3)).to(x.scalar_type()),
            at::mm(dy.t(), rounded(x, float8_e4m3)).to(weight.scalar_type())};
  }
};

/// x Wᵀ. Shapes: x [T, in] with T ≥ 1, weight [out, in].
inline Tensor linear(Tensor const& x, Tensor const& weight) { return Product::apply(x, weight); }

}  // namespace naive_fp8
