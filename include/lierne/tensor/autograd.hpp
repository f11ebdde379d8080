// SPDX-License-Identifier: Apache-2.0
// The gate to autograd: guards and the backward pass.
#pragma once

#include <ATen/core/grad_mode.h>

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>
#endif

namespace lierne {

using TensorList = std::vector<Tensor>;

/// Operations in the guard's scope record no graph.
using NoGrad = at::NoGradGuard;

/// Whether operations record a graph here.
inline bool records_gradients() { return at::GradMode::is_enabled(); }

/// Adds the gradient of the scalar `loss` to every leaf that requires one.
void backward(Tensor const& loss);

/// Whether a recorded graph that is still held, such as that of a loss, leads to this leaf.
bool in_a_graph(Tensor const& leaf);

#if LIERNE_BODIES
LIERNE_INLINE void backward(Tensor const& loss) { torch::autograd::backward({loss}, {}); }

LIERNE_INLINE bool in_a_graph(Tensor const& leaf) {
  return torch::autograd::impl::try_get_grad_accumulator(leaf) != nullptr;
}
#endif

}  // namespace lierne
