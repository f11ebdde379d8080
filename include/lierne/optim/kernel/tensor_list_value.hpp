// SPDX-License-Identifier: Apache-2.0
// Many tensors at once as a value of update rules: the foreach path.
#pragma once

#include "lierne/optim/kernel/tensor_value.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Tensors of one dtype and device that are treated alike by ATen's `_foreach` operations, or a number.
/// Satisfies: `Value`. Numerics: as `TensorValue`.
struct TensorListValue {
  using Scalar = double;
  using List = std::vector<Tensor>;
  struct Mask {
    std::vector<TensorValue::Mask> masks;
    Mask joined(Mask const& other, bool both) const;
    friend Mask operator|(Mask const& a, Mask const& b) { return a.joined(b, false); }
    friend Mask operator&(Mask const& a, Mask const& b) { return a.joined(b, true); }
  };

  List tensors{};
  double number = 0;

  TensorListValue() = default;
  TensorListValue(double scalar) : number(scalar) {}  // implicit: `2 * x`
  TensorListValue(List values) : tensors(std::move(values)) {}

  bool is_number() const { return tensors.empty(); }
  TensorValue operator[](std::size_t i) const { return is_number() ? TensorValue(number) : TensorValue(tensors[i]); }

  static TensorListValue apply(Arithmetic operation, TensorListValue const& a, TensorListValue const& b);
  static Mask compare(Comparison comparison, TensorListValue const& a, TensorListValue const& b);
  static TensorListValue choose(Mask const& mask, TensorListValue const& a, TensorListValue const& b);
  TensorListValue negative() const;
  TensorListValue root() const;

  using Self = TensorListValue;
  friend Self operator+(Self const& a, Self const& b) { return apply(Arithmetic::add, a, b); }
  friend Self operator-(Self const& a, Self const& b) { return apply(Arithmetic::subtract, a, b); }
  friend Self operator*(Self const& a, Self const& b) { return apply(Arithmetic::multiply, a, b); }
  friend Self operator/(Self const& a, Self const& b) { return apply(Arithmetic::divide, a, b); }
  friend Self operator-(Self const& a) { return a.negative(); }
  friend Mask operator<(Self const& a, Self const& b) { return compare(Comparison::less, a, b); }
  friend Mask operator<=(Self const& a, Self const& b) { return compare(Comparison::less_equal, a, b); }
  friend Mask operator>(Self const& a, Self const& b) { return compare(Comparison::greater, a, b); }
  friend Mask operator>=(Self const& a, Self const& b) { return compare(Comparison::greater_equal, a, b); }
  friend Mask operator!=(Self const& a, Self const& b) { return compare(Comparison::not_equal, a, b); }
  friend Self select(Mask const& mask, Self const& a, Self const& b) { return choose(mask, a, b); }
  friend Self sqrt(Self const& a) { return a.root(); }
  friend Self maximum(Self const& a, Self const& b) { return apply(Arithmetic::maximum, a, b); }
  friend Self maximum(Self const& a, double b) { return apply(Arithmetic::maximum, a, b); }
  friend Self minimum(Self const& a, Self const& b) { return apply(Arithmetic::minimum, a, b); }
  friend Self minimum(Self const& a, double b) { return apply(Arithmetic::minimum, a, b); }
};

#if LIERNE_BODIES
LIERNE_INLINE TensorListValue::Mask TensorListValue::Mask::joined(Mask const& other, bool both) const {
  Mask result;
  for (std::size_t i = 0; i < masks.size(); ++i) {
    result.masks.push_back(both ? masks[i] & other.masks[i] : masks[i] | other.masks[i]);
  }
  return result;
}

LIERNE_INLINE TensorListValue TensorListValue::apply(Arithmetic operation, Self const& a, Self const& b) {
  if (a.is_number() && b.is_number()) return TensorValue::apply(operation, a.number, b.number).number;
  bool const first = a.is_number(), second = b.is_number();  // at most one of them
  switch (operation) {
    case Arithmetic::add:
      if (first) return at::_foreach_add(b.tensors, a.number);
      return second ? at::_foreach_add(a.tensors, b.number) : at::_foreach_add(a.tensors, b.tensors);
    case Arithmetic::subtract:
      if (first) return at::_foreach_add(at::_foreach_neg(b.tensors), a.number);
      return second ? at::_foreach_sub(a.tensors, b.number) : at::_foreach_sub(a.tensors, b.tensors);
    case Arithmetic::multiply:
      if (first) return at::_foreach_mul(b.tensors, a.number);
      return second ? at::_foreach_mul(a.tensors, b.number) : at::_foreach_mul(a.tensors, b.tensors);
    case Arithmetic::maximum:
      if (first) return at::_foreach_clamp_min(b.tensors, a.number);
      return second ? at::_foreach_clamp_min(a.tensors, b.number) : at::_foreach_maximum(a.tensors, b.tensors);
    case Arithmetic::minimum:
      if (first) return at::_foreach_clamp_max(b.tensors, a.number);
      return second ? at::_foreach_clamp_max(a.tensors, b.number) : at::_foreach_minimum(a.tensors, b.tensors);
    case Arithmetic::divide: break;
  }
  if (!first && !second) return at::_foreach_div(a.tensors, b.tensors);
  List results;  // a number has no list form that divides with one rounding
  auto const count = first ? b.tensors.size() : a.tensors.size();
  for (std::size_t i = 0; i < count; ++i) results.push_back((a[i] / b[i]).tensor);
  return results;
}

// ATen has no list form of these two.
LIERNE_INLINE TensorListValue::Mask TensorListValue::compare(Comparison comparison, Self const& a, Self const& b) {
  Mask mask;
  auto const count = a.is_number() ? b.tensors.size() : a.tensors.size();
  for (std::size_t i = 0; i < count; ++i) mask.masks.push_back(TensorValue::compare(comparison, a[i], b[i]));
  return mask;
}
LIERNE_INLINE TensorListValue TensorListValue::choose(Mask const& mask, Self const& a, Self const& b) {
  List chosen;
  for (std::size_t i = 0; i < mask.masks.size(); ++i) chosen.push_back(select(mask.masks[i], a[i], b[i]).tensor);
  return chosen;
}

LIERNE_INLINE TensorListValue TensorListValue::negative() const {
  return is_number() ? TensorListValue(-number) : at::_foreach_neg(tensors);
}
LIERNE_INLINE TensorListValue TensorListValue::root() const {
  return is_number() ? TensorListValue(TensorValue(number).root().number) : at::_foreach_sqrt(tensors);
}
#endif

}  // namespace lierne
