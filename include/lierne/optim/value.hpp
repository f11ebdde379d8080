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

/// The larger of two; NaN when either is NaN.
template <Value V>
constexpr V maximum(V const& a, V const& b) {
  return select((a < b) | (b != b), b, a);
}
/// The larger of a value and a uniform number; NaN stays NaN. The number must not be NaN.
template <Value V>
constexpr V maximum(V const& a, typename V::Scalar b) {
  return select(a < V(b), V(b), a);
}

/// The smaller of two; NaN when either is NaN.
template <Value V>
constexpr V minimum(V const& a, V const& b) {
  return select((b < a) | (b != b), b, a);
}
/// The smaller of a value and a uniform number; NaN stays NaN. The number must not be NaN.
template <Value V>
constexpr V minimum(V const& a, typename V::Scalar b) {
  return select(V(b) < a, V(b), a);
}

/// `value` limited to [low, high]; NaN stays NaN. The limits are values or uniform numbers.
template <Value V, class Low, class High>
constexpr V clamp(V const& value, Low const& low, High const& high) {
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
