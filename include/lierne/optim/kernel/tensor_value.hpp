// SPDX-License-Identifier: Apache-2.0
// A whole tensor as a value of update rules: the loop path, and steps that are differentiated.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/optim/value.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <cmath>

#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

enum class Arithmetic { add, subtract, multiply, divide, maximum, minimum };
enum class Comparison { less, less_equal, greater, greater_equal, not_equal };

/// A tensor, or a number that stands for a tensor filled with it. Satisfies: `Value`.
/// Numerics: a number is rounded to the dtype of the tensor that it meets, and each operation rounds once, as in `Pack`.
struct TensorValue {
  using Scalar = double;
  struct Mask {
    Tensor mask;
    Dtype dtype;  // of the values that were compared
    friend Mask operator|(Mask const& a, Mask const& b) { return {a.mask.logical_or(b.mask), a.dtype}; }
    friend Mask operator&(Mask const& a, Mask const& b) { return {a.mask.logical_and(b.mask), a.dtype}; }
    explicit operator bool() const { return mask.item<bool>(); }
  };

  Tensor tensor{};
  double number = 0;

  TensorValue() = default;
  TensorValue(double scalar) : number(scalar) {}  // implicit: `2 * x`
  TensorValue(Tensor value) : tensor(std::move(value)) {}

  bool is_number() const { return !tensor.defined(); }
  /// The tensor itself, or the number as a 0-dimensional one that fits beside `other`.
  Tensor beside(Tensor const& other) const;

  static TensorValue apply(Arithmetic operation, TensorValue const& a, TensorValue const& b);
  static Mask compare(Comparison comparison, TensorValue const& a, TensorValue const& b);
  static TensorValue choose(Mask const& mask, TensorValue const& a, TensorValue const& b);
  TensorValue negative() const;
  TensorValue root() const;
  TensorValue power(TensorValue const& exponent) const;
  TensorValue exponential() const;
  TensorValue logarithm() const;

  friend TensorValue operator+(TensorValue const& a, TensorValue const& b) { return apply(Arithmetic::add, a, b); }
  friend TensorValue operator-(TensorValue const& a, TensorValue const& b) { return apply(Arithmetic::subtract, a, b); }
  friend TensorValue operator*(TensorValue const& a, TensorValue const& b) { return apply(Arithmetic::multiply, a, b); }
  friend TensorValue operator/(TensorValue const& a, TensorValue const& b) { return apply(Arithmetic::divide, a, b); }
  friend TensorValue operator-(TensorValue const& a) { return a.negative(); }
  friend Mask operator<(TensorValue const& a, TensorValue const& b) { return compare(Comparison::less, a, b); }
  friend Mask operator<=(TensorValue const& a, TensorValue const& b) { return compare(Comparison::less_equal, a, b); }
  friend Mask operator>(TensorValue const& a, TensorValue const& b) { return compare(Comparison::greater, a, b); }
  friend Mask operator>=(TensorValue const& a, TensorValue const& b) { return compare(Comparison::greater_equal, a, b); }
  friend Mask operator!=(TensorValue const& a, TensorValue const& b) { return compare(Comparison::not_equal, a, b); }
  friend TensorValue select(Mask const& mask, TensorValue const& a, TensorValue const& b) { return choose(mask, a, b); }
  friend TensorValue sqrt(TensorValue const& a) { return a.root(); }
  friend TensorValue pow(TensorValue const& a, TensorValue const& exponent) { return a.power(exponent); }
  friend TensorValue exp(TensorValue const& a) { return a.exponential(); }
  friend TensorValue log(TensorValue const& a) { return a.logarithm(); }
  friend TensorValue maximum(TensorValue const& a, TensorValue const& b) { return apply(Arithmetic::maximum, a, b); }
  friend TensorValue maximum(TensorValue const& a, double b) { return apply(Arithmetic::maximum, a, b); }
  friend TensorValue minimum(TensorValue const& a, TensorValue const& b) { return apply(Arithmetic::minimum, a, b); }
  friend TensorValue minimum(TensorValue const& a, double b) { return apply(Arithmetic::minimum, a, b); }
};

#if LIERNE_BODIES
LIERNE_INLINE Tensor TensorValue::beside(Tensor const& other) const {
  return is_number() ? at::full({}, number, other.options().requires_grad(false)) : tensor;
}

LIERNE_INLINE TensorValue TensorValue::apply(Arithmetic operation, TensorValue const& a, TensorValue const& b) {
  if (a.is_number() && b.is_number()) {
    double const x = a.number, y = b.number;
    switch (operation) {
      case Arithmetic::add: return x + y;
      case Arithmetic::subtract: return x - y;
      case Arithmetic::multiply: return x * y;
      case Arithmetic::divide: return x / y;
      case Arithmetic::maximum: return x < y || std::isnan(y) ? y : x;
      case Arithmetic::minimum: return y < x || std::isnan(y) ? y : x;
    }
  }
  bool const number = b.is_number();
  switch (operation) {
    case Arithmetic::add:
      return a.is_number() ? b.tensor.add(a.number) : number ? a.tensor.add(b.number) : a.tensor.add(b.tensor);
    case Arithmetic::subtract:
      return a.is_number() ? at::rsub(b.tensor, a.number) : number ? a.tensor.sub(b.number) : a.tensor.sub(b.tensor);
    case Arithmetic::multiply:
      return a.is_number() ? b.tensor.mul(a.number) : number ? a.tensor.mul(b.number) : a.tensor.mul(b.tensor);
    // By a tensor even where it is a number: ATen would multiply by its reciprocal, which rounds twice.
    case Arithmetic::divide: return at::div(a.beside(b.tensor), b.beside(a.tensor));
    case Arithmetic::maximum: return at::maximum(a.beside(b.tensor), b.beside(a.tensor));
    case Arithmetic::minimum: return at::minimum(a.beside(b.tensor), b.beside(a.tensor));
  }
  return {};
}

LIERNE_INLINE TensorValue::Mask TensorValue::compare(Comparison comparison, TensorValue const& a, TensorValue const& b) {
  auto const doubles = at::TensorOptions().dtype(float64);
  auto const like = !a.is_number() ? a.tensor : !b.is_number() ? b.tensor : at::empty({}, doubles);
  auto const x = a.beside(like), y = b.beside(like);
  auto const dtype = like.scalar_type();
  switch (comparison) {
    case Comparison::less: return {at::lt(x, y), dtype};
    case Comparison::less_equal: return {at::le(x, y), dtype};
    case Comparison::greater: return {at::gt(x, y), dtype};
    case Comparison::greater_equal: return {at::ge(x, y), dtype};
    case Comparison::not_equal: return {at::ne(x, y), dtype};
  }
  return {};
}

LIERNE_INLINE TensorValue TensorValue::choose(Mask const& mask, TensorValue const& a, TensorValue const& b) {
  auto const like = at::empty({}, mask.mask.options().dtype(mask.dtype));
  return at::where(mask.mask, a.beside(like), b.beside(like));
}

LIERNE_INLINE TensorValue TensorValue::negative() const { return is_number() ? TensorValue(-number) : tensor.neg(); }
LIERNE_INLINE TensorValue TensorValue::root() const {
  if (is_number()) return TensorValue(std::sqrt(number));
  if (!tensor.requires_grad()) return tensor.sqrt();
  // The slope at 0 is infinite, but what stands under a root is a sum of squares, whose root has the subgradient 0 there.
  auto const zero = tensor.eq(0);
  return at::where(zero, 0.0, tensor.masked_fill(zero, 1.0).sqrt());
}
LIERNE_INLINE TensorValue TensorValue::power(TensorValue const& exponent) const {
  if (is_number() && exponent.is_number()) return std::pow(number, exponent.number);
  if (is_number()) return at::pow(number, exponent.tensor);
  return exponent.is_number() ? tensor.pow(exponent.number) : tensor.pow(exponent.tensor);
}
LIERNE_INLINE TensorValue TensorValue::exponential() const {
  return is_number() ? TensorValue(std::exp(number)) : tensor.exp();
}
LIERNE_INLINE TensorValue TensorValue::logarithm() const {
  return is_number() ? TensorValue(std::log(number)) : tensor.log();
}
#endif

}  // namespace lierne
