// SPDX-License-Identifier: Apache-2.0
// The gate to ATen's free functions (at::softmax, at::zeros ...) and to + - * / on tensors. Behind them stand the headers of
// every operator, which cost each unit over a second, so that bodies see them and plain users of a model do not.
#pragma once

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lierne/tensor/tensor.hpp"
