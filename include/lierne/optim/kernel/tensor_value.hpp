// SPDX-License-Identifier: Apache-2.0
// A whole tensor as a value of update rules: the loop path, and steps that are differentiated.
#pragma once

#include <cmath>

#include "lierne/optim/value.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// A tensor, or a number that stands for a tensor filled with it.
/// Numerics: a number is rounded to the dtype of the tensor that it meets, as `Pack` does.
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
  Tensor beside(Tensor const& other) const { return is_number() ? at::full({}, number, other.options()) : tensor; }

  friend TensorValue operator+(TensorValue const& a, TensorValue const& b) {
    if (a.is_number() && b.is_number()) return a.number + b.number;
    if (a.is_number()) return b.tensor.add(a.number);
    return b.is_number() ? a.tensor.add(b.number) : a.tensor.add(b.tensor);
  }
  friend TensorValue operator-(TensorValue const& a, TensorValue const& b) {
    if (a.is_number() && b.is_number()) return a.number - b.number;
    if (a.is_number()) return at::rsub(b.tensor, a.number);
    return b.is_number() ? a.tensor.sub(b.number) : a.tensor.sub(b.tensor);
  }
  friend TensorValue operator*(TensorValue const& a, TensorValue const& b) {
    if (a.is_number() && b.is_number()) return a.number * b.number;
    if (a.is_number()) return b.tensor.mul(a.number);
    return b.is_number() ? a.tensor.mul(b.number) : a.tensor.mul(b.tensor);
  }
  friend TensorValue operator/(TensorValue const& a, TensorValue const& b) {
    if (a.is_number() && b.is_number()) return a.number / b.number;
    // By a tensor even where it is a number: ATen would multiply by its reciprocal, which rounds twice.
    return at::div(a.beside(b.tensor), b.beside(a.tensor));
  }
  friend TensorValue operator-(TensorValue const& a) { return a.is_number() ? TensorValue(-a.number) : a.tensor.neg(); }
  friend Mask operator<(TensorValue const& a, TensorValue const& b) { return compare(a, b, at::lt); }
  friend Mask operator<=(TensorValue const& a, TensorValue const& b) { return compare(a, b, at::le); }
  friend Mask operator>(TensorValue const& a, TensorValue const& b) { return compare(a, b, at::gt); }
  friend Mask operator>=(TensorValue const& a, TensorValue const& b) { return compare(a, b, at::ge); }
  friend Mask operator!=(TensorValue const& a, TensorValue const& b) { return compare(a, b, at::ne); }
  friend TensorValue select(Mask const& mask, TensorValue const& a, TensorValue const& b) {
    auto const like = mask.mask.options().dtype(mask.dtype);
    auto const tensor = [&](TensorValue const& value) {
      return value.is_number() ? at::full({}, value.number, like) : value.tensor;
    };
    return at::where(mask.mask, tensor(a), tensor(b));
  }
  friend TensorValue sqrt(TensorValue const& a) {
    return a.is_number() ? TensorValue(std::sqrt(a.number)) : a.tensor.sqrt();
  }
  friend TensorValue pow(TensorValue const& a, double exponent) {
    return a.is_number() ? TensorValue(std::pow(a.number, exponent)) : a.tensor.pow(exponent);
  }
  friend TensorValue maximum(TensorValue const& a, TensorValue const& b) {
    if (a.is_number()) return maximum(b, a.number);
    return b.is_number() ? maximum(a, b.number) : at::maximum(a.tensor, b.tensor);
  }
  friend TensorValue maximum(TensorValue const& a, double b) {
    return a.is_number() ? TensorValue(std::fmax(a.number, b)) : at::clamp_min(a.tensor, b);
  }
  friend TensorValue minimum(TensorValue const& a, TensorValue const& b) {
    if (a.is_number()) return minimum(b, a.number);
    return b.is_number() ? minimum(a, b.number) : at::minimum(a.tensor, b.tensor);
  }
  friend TensorValue minimum(TensorValue const& a, double b) {
    return a.is_number() ? TensorValue(std::fmin(a.number, b)) : at::clamp_max(a.tensor, b);
  }

 private:
  static Mask compare(TensorValue const& a, TensorValue const& b, Tensor (*operation)(Tensor const&, Tensor const&)) {
    if (a.is_number() && b.is_number()) {
      auto const options = at::TensorOptions().dtype(float64);
      return {operation(at::full({}, a.number, options), at::full({}, b.number, options)), float64};
    }
    Tensor const& like = a.is_number() ? b.tensor : a.tensor;
    return {operation(a.beside(like), b.beside(like)), like.scalar_type()};
  }
};

}  // namespace lierne
