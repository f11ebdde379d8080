// SPDX-License-Identifier: Apache-2.0
// The driver of rules with stages of whole tensors: fused passes between those stages.
#pragma once

#include "lierne/optim/kernel/eager.hpp"
#include "lierne/optim/kernel/phases.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

namespace detail {

inline void run_phases(std::span<RulePhase const> phases, ParameterStep const& step) {
  auto const& weight = step.weight;
  Tensor gradient = step.gradient, direction;
  for (auto const& phase : phases) {
    double const* const numbers = step.numbers + phase.first_number;
    auto const own = std::span(*step.fields).subspan(phase.first_field, phase.field_count);
    if (phase.pass) {
      std::vector<Tensor> arrays;
      if (phase.loads_direction) arrays.push_back(direction);
      arrays.insert(arrays.end(), own.begin(), own.end());
      if (phase.stores_direction) arrays.push_back(direction = at::empty_like(weight));
      auto const stored = phase.stores_gradient ? at::empty_like(weight) : gradient;
      if (phase.stores_gradient) arrays.push_back(stored);
      ParameterStep const part{weight, gradient, &arrays, numbers};
      run_fused(*phase.pass, std::span(&part, 1));
      gradient = stored;
    } else {
      Element<TensorValue> at{weight, gradient, direction};
      std::vector<TensorValue> fields(own.begin(), own.end());
      phase.whole(numbers, at, fields.data());
      for (std::size_t k = 0; k < own.size(); ++k) own[k] = own_copy(fields[k].beside(weight), weight, own[k]);
      auto const kept = [&](TensorValue const& value) { return own_copy(value.beside(weight), weight, weight); };
      gradient = kept(at.gradient);
      if (direction.defined()) direction = kept(at.direction);
      if (!at.weight.tensor.is_same(weight)) weight.copy_(at.weight.beside(weight));
    }
    for (auto const gate : phase.gates) {
      if (step.numbers[gate] != 0) return;
    }
  }
}

}  // namespace detail

/// Parameter after parameter, phase after phase; scratch memory of one direction. CPU; of rules that have phases.
/// Numerics: those of `run_loop`, bit for bit but for roots of stages between: ATen's may err in the last bit, ours do not.
inline void run_phased(Passes const& passes, std::span<ParameterStep const> steps) {
  for (auto const& step : steps) detail::run_phases(*passes.phases(), step);
}

}  // namespace lierne
