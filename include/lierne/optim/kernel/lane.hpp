// SPDX-License-Identifier: Apache-2.0
// One element as a value of update rules: a plain float or double. Sees the standard library only.
#pragma once

#include <cmath>

#include "lierne/optim/value.hpp"

namespace lierne {

/// One element of type `T`. What a CUDA thread computes on, and the oracle of the vector types.
/// Numerics: every operation rounds to `T`; nothing is contracted or widened. Satisfies: `Value`.
template <class T>
struct Lane {
  using Scalar = T;
  using Mask = bool;

  T value{};

  constexpr Lane() = default;
  constexpr Lane(T scalar) : value(scalar) {}  // implicit: `2 * x`

  friend constexpr Lane operator+(Lane a, Lane b) { return a.value + b.value; }
  friend constexpr Lane operator-(Lane a, Lane b) { return a.value - b.value; }
  friend constexpr Lane operator*(Lane a, Lane b) { return a.value * b.value; }
  friend constexpr Lane operator/(Lane a, Lane b) { return a.value / b.value; }
  friend constexpr Lane operator-(Lane a) { return -a.value; }
  friend constexpr Mask operator<(Lane a, Lane b) { return a.value < b.value; }
  friend constexpr Mask operator<=(Lane a, Lane b) { return a.value <= b.value; }
  friend constexpr Mask operator>(Lane a, Lane b) { return a.value > b.value; }
  friend constexpr Mask operator>=(Lane a, Lane b) { return a.value >= b.value; }
  friend constexpr Mask operator!=(Lane a, Lane b) { return a.value != b.value; }
  friend constexpr Lane select(Mask mask, Lane a, Lane b) { return mask ? a : b; }
  friend constexpr Lane sqrt(Lane a) { return std::sqrt(a.value); }
};

}  // namespace lierne
