// SPDX-License-Identifier: Apache-2.0
// The gate to autograd: custom functions, guards, and the backward pass.
#pragma once

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// A differentiable operation written by hand: derive from `Function<Self>` and give static `forward` and `backward`.
template <class Self>
using Function = torch::autograd::Function<Self>;
using AutogradContext = torch::autograd::AutogradContext;
using TensorList = torch::autograd::variable_list;

/// Operations in the guard's scope record no graph.
using NoGrad = at::NoGradGuard;
/// Operations in the guard's scope go below autograd: neither graph nor version counter sees them.
using BelowAutograd = at::AutoDispatchBelowADInplaceOrView;

/// Adds the gradient of the scalar `loss` to every leaf that requires one.
inline void backward(Tensor const& loss) { torch::autograd::backward({loss}, {}); }

}  // namespace lierne
