// SPDX-License-Identifier: Apache-2.0
// The loop and foreach paths: a rule by ATen's operations, on any device.
#pragma once

#include <map>

#include "lierne/optim/kernel/fused.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

namespace detail {

// A stage may store what it was given, or a number; state keeps its shape and shares no memory with the weight.
inline Tensor own_copy(Tensor const& field, Tensor const& weight, Tensor const& before) {
  return (field.is_alias_of(weight) ? field.clone() : field).expand_as(before).contiguous();
}

// New fields, and the weight written in place.
inline void keep_results(ParameterStep const& step, TensorValue const& weight, std::vector<TensorValue> const& fields) {
  for (std::size_t k = 0; k < fields.size(); ++k) {
    (*step.fields)[k] = own_copy(fields[k].beside(step.weight), step.weight, (*step.fields)[k]);
  }
  step.weight.copy_(weight.tensor);
}

}  // namespace detail

/// Tensor by tensor. Fields become new tensors, weights are written in place.
inline void run_loop(Passes const& passes, std::span<ParameterStep const> steps) {
  for (auto const& step : steps) {
    Element<TensorValue> at{step.weight, step.gradient, {}};
    std::vector<TensorValue> fields(step.fields->begin(), step.fields->end());
    passes.run(step.numbers, at, fields.data());
    detail::keep_results(step, at.weight, fields);
  }
}

/// In lists of the tensors that share dtype, device and uniform numbers (one array of them).
inline void run_foreach(Passes const& passes, std::span<ParameterStep const> steps) {
  using Key = std::tuple<double const*, Dtype, std::string>;
  std::map<Key, std::vector<ParameterStep const*>> groups;
  for (auto const& step : steps) {
    groups[{step.numbers, step.weight.scalar_type(), step.weight.device().str()}].push_back(&step);
  }
  for (auto const& [key, members] : groups) {
    Element<TensorListValue> at;
    std::vector<TensorListValue> fields(passes.fields().size());
    for (auto const* step : members) {
      at.weight.tensors.push_back(step->weight);
      at.gradient.tensors.push_back(step->gradient);
      for (std::size_t k = 0; k < fields.size(); ++k) fields[k].tensors.push_back((*step->fields)[k]);
    }
    auto const weights = at.weight.tensors;
    passes.run(std::get<0>(key), at, fields.data());
    for (std::size_t i = 0; i < members.size(); ++i) {
      for (std::size_t k = 0; k < fields.size(); ++k) {
        auto& field = (*members[i]->fields)[k];
        field = detail::own_copy(fields[k][i].beside(weights[i]), weights[i], field);
      }
    }
    at::_foreach_copy_(weights, at.weight.tensors);
  }
}

}  // namespace lierne
