// SPDX-License-Identifier: Apache-2.0
// Many tensors at once as a value of update rules: the foreach path.
#pragma once

#include "lierne/optim/kernel/tensor_value.hpp"

namespace lierne {

/// Tensors of one dtype and device that are treated alike by ATen's `_foreach` operations, or a number.
/// Numerics: as `TensorValue`.
struct TensorListValue {
  using Scalar = double;
  using List = std::vector<Tensor>;
  struct Mask {
    std::vector<TensorValue::Mask> masks;
    friend Mask operator|(Mask const& a, Mask const& b) {
      Mask both;
      for (std::size_t i = 0; i < a.masks.size(); ++i) both.masks.push_back(a.masks[i] | b.masks[i]);
      return both;
    }
    friend Mask operator&(Mask const& a, Mask const& b) {
      Mask both;
      for (std::size_t i = 0; i < a.masks.size(); ++i) both.masks.push_back(a.masks[i] & b.masks[i]);
      return both;
    }
  };

  List tensors{};
  double number = 0;

  TensorListValue() = default;
  TensorListValue(double scalar) : number(scalar) {}  // implicit: `2 * x`
  TensorListValue(List values) : tensors(std::move(values)) {}

  bool is_number() const { return tensors.empty(); }
  TensorValue operator[](std::size_t i) const { return is_number() ? TensorValue(number) : TensorValue(tensors[i]); }

  friend TensorListValue operator+(TensorListValue const& a, TensorListValue const& b) {
    if (a.is_number()) return at::_foreach_add(b.tensors, a.number);
    return b.is_number() ? at::_foreach_add(a.tensors, b.number) : at::_foreach_add(a.tensors, b.tensors);
  }
  friend TensorListValue operator-(TensorListValue const& a, TensorListValue const& b) {
    if (a.is_number()) return at::_foreach_add(at::_foreach_neg(b.tensors), a.number);
    return b.is_number() ? at::_foreach_sub(a.tensors, b.number) : at::_foreach_sub(a.tensors, b.tensors);
  }
  friend TensorListValue operator*(TensorListValue const& a, TensorListValue const& b) {
    if (a.is_number()) return at::_foreach_mul(b.tensors, a.number);
    return b.is_number() ? at::_foreach_mul(a.tensors, b.number) : at::_foreach_mul(a.tensors, b.tensors);
  }
  friend TensorListValue operator/(TensorListValue const& a, TensorListValue const& b) {
    // A number has no list form that divides with one rounding.
    if (a.is_number() || b.is_number()) return each(a, b, [](auto const& x, auto const& y) { return x / y; });
    return at::_foreach_div(a.tensors, b.tensors);
  }
  friend TensorListValue operator-(TensorListValue const& a) { return at::_foreach_neg(a.tensors); }
  friend TensorListValue sqrt(TensorListValue const& a) { return at::_foreach_sqrt(a.tensors); }
  friend TensorListValue maximum(TensorListValue const& a, TensorListValue const& b) {
    if (a.is_number()) return maximum(b, a.number);
    return b.is_number() ? maximum(a, b.number) : at::_foreach_maximum(a.tensors, b.tensors);
  }
  friend TensorListValue maximum(TensorListValue const& a, double b) { return at::_foreach_clamp_min(a.tensors, b); }
  friend TensorListValue minimum(TensorListValue const& a, TensorListValue const& b) {
    if (a.is_number()) return minimum(b, a.number);
    return b.is_number() ? minimum(a, b.number) : at::_foreach_minimum(a.tensors, b.tensors);
  }
  friend TensorListValue minimum(TensorListValue const& a, double b) { return at::_foreach_clamp_max(a.tensors, b); }

  // ATen has no list form of these.
  friend Mask operator<(TensorListValue const& a, TensorListValue const& b) {
    return compare(a, b, [](auto const& x, auto const& y) { return x < y; });
  }
  friend Mask operator<=(TensorListValue const& a, TensorListValue const& b) {
    return compare(a, b, [](auto const& x, auto const& y) { return x <= y; });
  }
  friend Mask operator>(TensorListValue const& a, TensorListValue const& b) {
    return compare(a, b, [](auto const& x, auto const& y) { return x > y; });
  }
  friend Mask operator>=(TensorListValue const& a, TensorListValue const& b) {
    return compare(a, b, [](auto const& x, auto const& y) { return x >= y; });
  }
  friend Mask operator!=(TensorListValue const& a, TensorListValue const& b) {
    return compare(a, b, [](auto const& x, auto const& y) { return x != y; });
  }
  friend TensorListValue select(Mask const& mask, TensorListValue const& a, TensorListValue const& b) {
    List chosen;
    for (std::size_t i = 0; i < mask.masks.size(); ++i) chosen.push_back(select(mask.masks[i], a[i], b[i]).tensor);
    return chosen;
  }

 private:
  static TensorListValue each(TensorListValue const& a, TensorListValue const& b, auto const& operation) {
    List results;
    auto const count = a.is_number() ? b.tensors.size() : a.tensors.size();
    for (std::size_t i = 0; i < count; ++i) results.push_back(operation(a[i], b[i]).tensor);
    return results;
  }
  static Mask compare(TensorListValue const& a, TensorListValue const& b, auto const& operation) {
    Mask mask;
    auto const count = a.is_number() ? b.tensors.size() : a.tensors.size();
    for (std::size_t i = 0; i < count; ++i) mask.masks.push_back(operation(a[i], b[i]));
    return mask;
  }
};

}  // namespace lierne
