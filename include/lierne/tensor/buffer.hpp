// SPDX-License-Identifier: Apache-2.0
// A tensor of a module that is not trained.
#pragma once

#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// A tensor that belongs to a module and that no optimizer sees: whole on every rank, zero at first. `init` of a model
/// gives it its name and its value; checkpoints keep it where it is `persistent`. A layer may write to its value in
/// place during a forward pass.
/// Example: `Buffer seen{.shape = {experts}, .dtype = int64, .persistent = false};`
struct Buffer {
  Shape shape{};
  Dtype dtype = at::ScalarType::Undefined;  ///< undefined: the master dtype
  bool persistent = true;                   ///< part of the model's state, as weights are
  std::string name{};                       ///< fully qualified, set by init
  Tensor value{};
};

}  // namespace lierne
