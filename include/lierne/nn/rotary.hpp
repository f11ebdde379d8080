// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding: the table of rotations.
#pragma once

#include <numbers>

#include "lierne/core/compiled.hpp"
#include "lierne/spec/position.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// The frequencies of a Rope, base^(-2i/d) for i < d/2, after its scaling. Shape: [d/2].
/// Numerics: in `dtype` throughout, in the reference's order of operations.
Tensor rotary_frequencies(Rope const& rope, std::int64_t head_size, Dtype dtype);

/// Cosine and sine of every rotation. Shape: [length, d/2, 2]. Numerics: angles in `dtype`.
Tensor rotary_table(Rope const& rope, std::int64_t head_size, std::int64_t length, Dtype dtype, Device device);

#if LIERNE_BODIES
LIERNE_INLINE Tensor rotary_frequencies(Rope const& rope, std::int64_t head_size, Dtype dtype) {
  auto const exponent = at::arange(0, head_size, 2, at::TensorOptions().dtype(dtype)) / static_cast<double>(head_size);
  auto frequency = at::reciprocal(at::pow(rope.base, exponent));
  auto const& [factor, low, high, original] = rope.scaling;
  if (factor == 0) return frequency;
  auto const wavelength = 2 * std::numbers::pi / frequency;
  auto const slowed = frequency / factor;
  auto const scaled = at::where(wavelength > original / low, slowed, frequency);
  if (low == high) return scaled;  // nothing lies between the two bounds, and the blend is 0/0 on them
  auto const blend = (original / wavelength - low) / (high - low);
  auto const between = (1 - blend) * slowed + blend * frequency;
  return at::where(at::logical_and(wavelength <= original / low, wavelength >= original / high), between, scaled);
}

LIERNE_INLINE Tensor rotary_table(Rope const& rope, std::int64_t head_size, std::int64_t length, Dtype dtype, Device device) {
  auto const position = at::arange(length, at::TensorOptions().dtype(dtype));
  auto const angle = at::outer(position, rotary_frequencies(rope, head_size, dtype));
  return at::stack({angle.cos(), angle.sin()}, -1).to(device);
}
#endif

}  // namespace lierne
