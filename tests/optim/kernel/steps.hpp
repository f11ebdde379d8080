// SPDX-License-Identifier: Apache-2.0
// Parameters as tensors for the drivers, beside the plain rows that they must become.
#pragma once

#include <cstring>
#include <deque>

#include "lierne/optim/kernel/fused.hpp"
#include "optim/kernel/plain.hpp"

namespace lierne::test {

template <class T>
inline constexpr Dtype dtype_of = sizeof(T) == 4 ? float32 : float64;

/// A row as a tensor of its own memory.
template <class T>
Tensor tensor_of(std::vector<T> const& values) {
  auto const tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::TensorOptions().dtype(dtype_of<T>));
  if (!values.empty()) std::memcpy(tensor.template mutable_data_ptr<T>(), values.data(), values.size() * sizeof(T));
  return tensor;
}

/// Whether a tensor holds these values, bit for bit.
template <class T>
bool holds(Tensor const& tensor, std::vector<T> const& values) {
  return tensor.scalar_type() == dtype_of<T> && tensor.is_contiguous() &&
         tensor.numel() == static_cast<std::int64_t>(values.size()) &&
         (values.empty() || std::memcmp(tensor.template const_data_ptr<T>(), values.data(), values.size() * sizeof(T)) == 0);
}

/// The steps of several parameters; owns what they point to.
struct Steps {
  std::deque<std::vector<Tensor>> fields;
  std::vector<ParameterStep> steps;

  template <class T>
  void add(Plain<T> const& plain, double const* numbers = plain_numbers) {
    fields.push_back({tensor_of(plain.average)});
    steps.push_back({tensor_of(plain.weight), tensor_of(plain.gradient), &fields.back(), numbers});
  }
  template <class T>
  bool equals(std::size_t i, Plain<T> const& plain) const {
    return holds(steps[i].weight, plain.weight) && holds(steps[i].gradient, plain.gradient) &&
           holds(fields[i].at(0), plain.average);
  }
};

}  // namespace lierne::test
