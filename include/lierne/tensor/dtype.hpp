// SPDX-License-Identifier: Apache-2.0
// From the formats that records name to LibTorch's dtypes.
#pragma once

#include "lierne/spec/precision.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// LibTorch's dtype of a record's format.
constexpr Dtype dtype(Float format) {
  return format == Float::bfloat16 ? bfloat16 : format == Float::float32 ? float32 : float64;
}

}  // namespace lierne
