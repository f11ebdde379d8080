// SPDX-License-Identifier: Apache-2.0
// The gate to ATen's tensor: its type, dtypes and devices under the library's names. Its methods are here; free functions and
// the operators + - * / are in operations.hpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lierne {

/// A handle to an n-dimensional array with shared ownership (LibTorch's own tensor; every ATen function takes it).
using Tensor = at::Tensor;
using Device = c10::Device;
using Dtype = at::ScalarType;
/// Extents of a tensor, outermost first, in elements.
using Shape = std::vector<std::int64_t>;

inline constexpr Dtype float32 = at::kFloat;
inline constexpr Dtype float64 = at::kDouble;
inline constexpr Dtype bfloat16 = at::kBFloat16;
inline constexpr Dtype int64 = at::kLong;
inline constexpr Dtype float8_e4m3 = at::kFloat8_e4m3fn;  ///< finite: infinities become NaN
inline constexpr Dtype float8_e5m2 = at::kFloat8_e5m2;

/// The number of elements of a shape; 1 for a scalar's empty shape.
inline std::int64_t elements(Shape const& shape) {
  std::int64_t n = 1;
  for (auto extent : shape) n *= extent;
  return n;
}

/// A shape as text: `[64, 176]`.
inline std::string to_string(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace lierne
