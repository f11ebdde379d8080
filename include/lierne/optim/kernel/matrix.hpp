// SPDX-License-Identifier: Apache-2.0
// What stages of matrices are written with: orthogonalisation by polynomials, means of rows, factors of a shape.
#pragma once

#include "lierne/core/error.hpp"
#include "lierne/optim/kernel/whole_tensor.hpp"
#include "lierne/optim/orthogonalise.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// See `Orthogonalise`. Errors: `ShapeError` for a tensor that is no matrix.
TensorValue orthogonalise(TensorValue const& matrix, std::span<Quintic const> polynomials, double norm_factor, bool in_bf16);
TensorListValue orthogonalise(TensorListValue const& matrices, std::span<Quintic const> polynomials, double norm_factor,
                              bool in_bf16);
/// The mean of each row. Shapes: [rows, columns] -> [rows, 1], which goes beside the matrix.
TensorValue row_mean(TensorValue const& matrix);
TensorListValue row_mean(TensorListValue const& matrices);
/// 0.2·√max(rows, columns) to match Adam's size, otherwise √max(1, rows / columns).
TensorValue shape_scale(TensorValue const& matrix, bool match_adam);
TensorListValue shape_scale(TensorListValue const& matrices, bool match_adam);

#if LIERNE_BODIES
namespace detail {

inline void check_matrix(Tensor const& tensor, char const* who) {
  check<ShapeError>(tensor.dim() == 2, who, ": expected a matrix, found shape ", to_string(tensor.sizes()),
                    " (give parameters of other shapes another rule by groups)");
}

}  // namespace detail

LIERNE_INLINE TensorValue orthogonalise(TensorValue const& matrix, std::span<Quintic const> polynomials, double norm_factor,
                                        bool in_bf16) {
  auto const& given = matrix.tensor;
  detail::check_matrix(given, "orthogonalise");
  auto x = in_bf16 ? given.to(bfloat16) : given;
  bool const tall = x.size(0) > x.size(1);
  if (tall) x = x.t();
  auto const norm = x.norm();
  x = x / (norm_factor == 1 ? norm : norm * norm_factor).clamp_min(1e-7);
  for (auto const& p : polynomials) {
    auto const gram = at::mm(x, x.t());
    x = at::addmm(x, at::addmm(gram, gram, gram, p.b, p.c), x, p.a);
  }
  return (tall ? x.t() : x).to(given.scalar_type());
}
LIERNE_INLINE TensorListValue orthogonalise(TensorListValue const& matrices, std::span<Quintic const> polynomials,
                                            double norm_factor, bool in_bf16) {
  return detail::for_each_tensor(
      matrices, [&](TensorValue const& each) { return orthogonalise(each, polynomials, norm_factor, in_bf16); });
}

LIERNE_INLINE TensorValue row_mean(TensorValue const& matrix) { return matrix.tensor.mean(-1, true); }
LIERNE_INLINE TensorListValue row_mean(TensorListValue const& matrices) {
  return detail::for_each_tensor(matrices, [](TensorValue const& each) { return row_mean(each); });
}

LIERNE_INLINE TensorValue shape_scale(TensorValue const& matrix, bool match_adam) {
  detail::check_matrix(matrix.tensor, "scale to shape");
  auto const rows = static_cast<double>(matrix.tensor.size(0)), columns = static_cast<double>(matrix.tensor.size(1));
  return match_adam ? 0.2 * std::sqrt(std::max(rows, columns)) : std::sqrt(std::max(1.0, rows / columns));
}
LIERNE_INLINE TensorListValue shape_scale(TensorListValue const& matrices, bool match_adam) {
  return detail::for_each_tensor(matrices, [&](TensorValue const& each) -> TensorValue {
    return at::full({}, shape_scale(each, match_adam).number, each.tensor.options());
  });
}
#endif

}  // namespace lierne
