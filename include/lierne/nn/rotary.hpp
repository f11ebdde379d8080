// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding: the table of rotations and their application.
#pragma once

#include <cmath>
#include <numbers>

#include "lierne/spec/position.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// The frequencies of a Rope, base^(-2i/d) for i < d/2, after its scaling. Shape: [d/2].
/// Numerics: in `dtype` throughout, in the reference's order of operations.
inline Tensor rotary_frequencies(Rope const& rope, std::int64_t head_size, Dtype dtype) {
  auto const exponent = at::arange(0, head_size, 2, at::TensorOptions().dtype(dtype)) / static_cast<double>(head_size);
  auto frequency = at::reciprocal(at::pow(rope.base, exponent));
  auto const& [factor, low, high, original] = rope.scaling;
  if (factor == 0) return frequency;
  auto const wavelength = 2 * std::numbers::pi / frequency;
  auto const slowed = frequency / factor;
  // Where low equals high the blend is 0/0, but no wavelength lies between the two bounds then.
  auto const blend = (original / wavelength - low) / (high - low);
  auto const between = (1 - blend) * slowed + blend * frequency;
  auto const scaled = at::where(wavelength > original / low, slowed, frequency);
  return at::where(at::logical_and(wavelength <= original / low, wavelength >= original / high), between, scaled);
}

/// Cosine and sine of every rotation. Shape: [length, d/2, 2]. Numerics: angles in `dtype`.
inline Tensor rotary_table(Rope const& rope, std::int64_t head_size, std::int64_t length, Dtype dtype, Device device) {
  auto const position = at::arange(length, at::TensorOptions().dtype(dtype));
  auto const angle = at::outer(position, rotary_frequencies(rope, head_size, dtype));
  return at::stack({angle.cos(), angle.sin()}, -1).to(device);
}

/// Turns the pairs (x[2i], x[2i+1]) of every head. Shapes: x_BLNH [B, L, N, d], table [L, d/2, 2].
/// Numerics: in the table's dtype, rounded once to x's.
inline Tensor rotate(Tensor const& x_BLNH, Tensor const& table) {
  auto const pairs = x_BLNH.to(table.scalar_type()).unflatten(-1, {-1, 2});
  auto const turned = at::view_as_complex(pairs.contiguous()) * at::view_as_complex(table).unsqueeze(1);
  return at::view_as_real(turned).flatten(-2).to(x_BLNH.scalar_type());
}

}  // namespace lierne
