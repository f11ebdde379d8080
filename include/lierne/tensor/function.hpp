// SPDX-License-Identifier: Apache-2.0
// Differentiable operations written by hand: a forward and a backward.
//
// A heavy header (about 2 s a unit, and more for each function): the library includes it only where bodies are compiled
// (core/compiled.hpp). A function of your own includes it where it is defined.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include "lierne/tensor/autograd.hpp"

namespace lierne {

/// A differentiable operation: derive from `Function<Self>` and give static `forward` and `backward`.
template <class Self>
using Function = torch::autograd::Function<Self>;
using AutogradContext = torch::autograd::AutogradContext;

}  // namespace lierne
