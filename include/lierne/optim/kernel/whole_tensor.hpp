// SPDX-License-Identifier: Apache-2.0
// What stages of whole tensors are written with: sums over a parameter, and matrix iterations.
#pragma once

#include "lierne/core/error.hpp"
#include "lierne/optim/kernel/tensor_list_value.hpp"

namespace lierne {

/// Σ over a parameter's elements; it goes beside any tensor of the parameter.
TensorValue sum(TensorValue const& value);
TensorListValue sum(TensorListValue const& value);
/// The number of a parameter's elements.
TensorValue size(TensorValue const& value);
TensorListValue size(TensorListValue const& value);
/// A uniform number in the shape of a parameter.
TensorValue like(TensorValue const& value, double number);
TensorListValue like(TensorListValue const& value, double number);
/// See `Orthogonalise`. Errors: `ShapeError` for a parameter that is no matrix.
TensorValue newton_schulz(TensorValue const& value, bool in_bf16, bool match_adam);
TensorListValue newton_schulz(TensorListValue const& value, bool in_bf16, bool match_adam);

#if LIERNE_BODIES
namespace detail {

template <class Each>
TensorListValue for_each_tensor(TensorListValue const& value, Each each) {
  std::vector<Tensor> results;
  for (auto const& tensor : value.tensors) results.push_back(each(TensorValue(tensor)).tensor);
  return results;
}

inline Tensor newton_schulz(Tensor const& given, bool in_bf16) {
  auto x = in_bf16 ? given.to(bfloat16) : given;
  bool const tall = x.size(0) > x.size(1);
  if (tall) x = x.t();
  x = x / x.norm().clamp_min(1e-7);
  for (int step = 0; step < 5; ++step) {
    auto const gram = at::mm(x, x.t());
    x = at::addmm(x, at::addmm(gram, gram, gram, -4.775, 2.0315), x, 3.4445);
  }
  return (tall ? x.t() : x).to(given.scalar_type());
}

}  // namespace detail

LIERNE_INLINE TensorValue sum(TensorValue const& value) { return value.tensor.sum(); }
LIERNE_INLINE TensorListValue sum(TensorListValue const& value) {
  return detail::for_each_tensor(value, [](TensorValue const& each) { return sum(each); });
}
LIERNE_INLINE TensorValue size(TensorValue const& value) { return static_cast<double>(value.tensor.numel()); }
LIERNE_INLINE TensorListValue size(TensorListValue const& value) {
  return detail::for_each_tensor(value, [](TensorValue const& each) -> TensorValue {
    return at::full({}, static_cast<double>(each.tensor.numel()), each.tensor.options());
  });
}
LIERNE_INLINE TensorValue like(TensorValue const& value, double number) { return at::full_like(value.tensor, number); }
LIERNE_INLINE TensorListValue like(TensorListValue const& value, double number) {
  return detail::for_each_tensor(value, [&](TensorValue const& each) { return like(each, number); });
}
LIERNE_INLINE TensorValue newton_schulz(TensorValue const& value, bool in_bf16, bool match_adam) {
  auto const& matrix = value.tensor;
  check<ShapeError>(matrix.dim() == 2, "muon: expected a matrix, found shape ", to_string(matrix.sizes()),
                    " (give parameters of other shapes another rule by groups)");
  auto const rows = static_cast<double>(matrix.size(0)), columns = static_cast<double>(matrix.size(1));
  double const scale = match_adam ? 0.2 * std::sqrt(std::max(rows, columns)) : std::sqrt(std::max(1.0, rows / columns));
  return detail::newton_schulz(matrix, in_bf16).mul(scale);
}
LIERNE_INLINE TensorListValue newton_schulz(TensorListValue const& value, bool in_bf16, bool match_adam) {
  return detail::for_each_tensor(value, [&](TensorValue const& each) { return newton_schulz(each, in_bf16, match_adam); });
}
#endif

}  // namespace lierne
