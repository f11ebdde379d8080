// SPDX-License-Identifier: Apache-2.0
// What SOAP is written with: products with themselves, their eigenvectors, and matrices in the basis of those.
#pragma once

#include "lierne/optim/kernel/whole_tensor.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

// A side without a basis has a tensor of no elements in its place, which stands for the identity.

/// GGᵀ for side 0, GᵀG for side 1; `none` itself where that has no elements.
TensorValue gram(TensorValue const& gradient, TensorValue const& none, int side);
TensorListValue gram(TensorListValue const& gradient, TensorListValue const& none, int side);
/// The eigenvectors of a symmetric matrix as columns, the largest eigenvalue first; NaN where the matrix is not finite.
TensorValue eigenvectors(TensorValue const& symmetric);
TensorListValue eigenvectors(TensorListValue const& symmetric);
/// Q_LᵀXQ_R.
TensorValue into_basis(TensorValue const& x, TensorValue const& left, TensorValue const& right);
TensorListValue into_basis(TensorListValue const& x, TensorListValue const& left, TensorListValue const& right);
/// Q_LXQ_Rᵀ.
TensorValue out_of_basis(TensorValue const& x, TensorValue const& left, TensorValue const& right);
TensorListValue out_of_basis(TensorListValue const& x, TensorListValue const& left, TensorListValue const& right);
/// One power iteration of a basis: S·Q, its columns sorted by falling qᵀSq, made orthogonal. The second moment's slices
/// along `side` go with their columns.
void turn_basis(TensorValue& moment, TensorValue const& symmetric, TensorValue& basis, int side);
void turn_basis(TensorListValue& moment, TensorListValue const& symmetric, TensorListValue& basis, int side);

#if LIERNE_BODIES
namespace detail {

// One list from several: each(i) for every tensor.
template <class Each>
TensorListValue for_each_index(TensorListValue const& value, Each each) {
  std::vector<Tensor> results;
  for (std::size_t i = 0; i < value.tensors.size(); ++i) results.push_back(each(i).tensor);
  return results;
}

}  // namespace detail

LIERNE_INLINE TensorValue gram(TensorValue const& gradient, TensorValue const& none, int side) {
  if (none.tensor.numel() == 0) return none;
  auto const& g = gradient.tensor;
  return side == 0 ? at::mm(g, g.t()) : at::mm(g.t(), g);
}
LIERNE_INLINE TensorListValue gram(TensorListValue const& gradient, TensorListValue const& none, int side) {
  return detail::for_each_index(gradient, [&](std::size_t i) { return gram(gradient[i], none[i], side); });
}

LIERNE_INLINE TensorValue eigenvectors(TensorValue const& symmetric) {
  auto const& s = symmetric.tensor;
  if (s.numel() == 0) return s;
  if (!at::isfinite(s).all().item<bool>()) return at::full_like(s, std::nan(""));  // LAPACK would throw
  return std::get<1>(at::linalg_eigh(s)).flip({1}).contiguous();
}
LIERNE_INLINE TensorListValue eigenvectors(TensorListValue const& symmetric) {
  return detail::for_each_tensor(symmetric, [](TensorValue const& each) { return eigenvectors(each); });
}

LIERNE_INLINE TensorValue into_basis(TensorValue const& x, TensorValue const& left, TensorValue const& right) {
  auto result = x.tensor;
  if (left.tensor.numel() > 0) result = at::mm(left.tensor.t(), result);
  if (right.tensor.numel() > 0) result = at::mm(result, right.tensor);
  return result;
}
LIERNE_INLINE TensorListValue into_basis(TensorListValue const& x, TensorListValue const& left, TensorListValue const& right) {
  return detail::for_each_index(x, [&](std::size_t i) { return into_basis(x[i], left[i], right[i]); });
}

LIERNE_INLINE TensorValue out_of_basis(TensorValue const& x, TensorValue const& left, TensorValue const& right) {
  auto result = x.tensor;
  if (left.tensor.numel() > 0) result = at::mm(left.tensor, result);
  if (right.tensor.numel() > 0) result = at::mm(result, right.tensor.t());
  return result;
}
LIERNE_INLINE TensorListValue out_of_basis(TensorListValue const& x, TensorListValue const& left,
                                           TensorListValue const& right) {
  return detail::for_each_index(x, [&](std::size_t i) { return out_of_basis(x[i], left[i], right[i]); });
}

LIERNE_INLINE void turn_basis(TensorValue& moment, TensorValue const& symmetric, TensorValue& basis, int side) {
  if (basis.tensor.numel() == 0) return;
  auto const product = at::mm(symmetric.tensor, basis.tensor);
  auto const order = at::argsort((basis.tensor * product).sum(0), -1, true);
  moment = moment.tensor.index_select(side, order);
  basis = std::get<0>(at::linalg_qr(product.index_select(1, order)));
}
LIERNE_INLINE void turn_basis(TensorListValue& moment, TensorListValue const& symmetric, TensorListValue& basis, int side) {
  for (std::size_t i = 0; i < moment.tensors.size(); ++i) {
    TensorValue own_moment = moment[i], own_basis = basis[i];
    turn_basis(own_moment, symmetric[i], own_basis, side);
    moment.tensors[i] = own_moment.tensor;
    basis.tensors[i] = own_basis.tensor;
  }
}
#endif

}  // namespace lierne
