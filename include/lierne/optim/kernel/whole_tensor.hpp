// SPDX-License-Identifier: Apache-2.0
// What stages of whole tensors are written with: sums over a parameter.
#pragma once

#include "lierne/optim/kernel/tensor_list_value.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

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

#if LIERNE_BODIES
namespace detail {

template <class Each>
TensorListValue for_each_tensor(TensorListValue const& value, Each each) {
  std::vector<Tensor> results;
  for (auto const& tensor : value.tensors) results.push_back(each(TensorValue(tensor)).tensor);
  return results;
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
#endif

}  // namespace lierne
