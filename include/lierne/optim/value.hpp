// SPDX-License-Identifier: Apache-2.0
// What update rules compute on: the arithmetic that every kind of value offers. Sees the standard library only.
#pragma once

#include <concepts>
#include <type_traits>

namespace lierne {

/// Satisfied if and only if `V` has the arithmetic in which a stage's `element` is written: `+ - * /`, comparisons to a
/// `Mask` that `&`, `|` combine, `select(mask, a, b)`, `sqrt`; and scalars convert to it. Satisfied by `Lane<float>`
/// (one element, also a CUDA thread's), `Pack<float>` and `WidePack<float>` (vectors), `TensorValue` (a whole tensor),
/// `TensorListValue` (many tensors at once), the same with double.
template <class V>
concept Value = requires(V a, V b, typename V::Scalar scalar, typename V::Mask mask) {
  V(scalar);
  { a + b } -> std::same_as<V>;
  { a - b } -> std::same_as<V>;
  { a * b } -> std::same_as<V>;
  { a / b } -> std::same_as<V>;
  { a < b } -> std::same_as<typename V::Mask>;
  { select(mask, a, b) } -> std::same_as<V>;
  { sqrt(a) } -> std::same_as<V>;
};

// The second argument is not deduced, so that a scalar may stand there: `maximum(root, epsilon)`.

/// The larger of two; NaN when either is NaN.
template <Value V>
constexpr V maximum(V const& a, std::type_identity_t<V> const& b) {
  return select((a < b) | (b != b), b, a);
}

/// The smaller of two; NaN when either is NaN.
template <Value V>
constexpr V minimum(V const& a, std::type_identity_t<V> const& b) {
  return select((b < a) | (b != b), b, a);
}

/// `value` limited to [low, high]; NaN stays NaN.
template <Value V>
constexpr V clamp(V const& value, std::type_identity_t<V> const& low, std::type_identity_t<V> const& high) {
  return minimum(maximum(value, low), high);
}

/// |value|; +0 for both zeros.
template <Value V>
constexpr V absolute(V const& value) {
  return select(value <= V(0), V(0) - value, value);
}

/// -1, 0 or 1; 0 for NaN.
template <Value V>
constexpr V sign(V const& value) {
  return select(value > V(0), V(1), select(value < V(0), V(-1), V(0)));
}

}  // namespace lierne
