// SPDX-License-Identifier: Apache-2.0
// A step of a rule as a function that autograd can differentiate, with respect to settings as well.
#pragma once

#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/optim/kernel/tensor_value.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/storage.hpp"

namespace lierne {

/// A parameter between differentiable steps.
struct DifferentiableState {
  Tensor weight;
  std::vector<Tensor> fields;  ///< in the order of `field_names<Rule>()`; empty before the first step
  std::vector<TensorValue> carried{};  ///< in the order of `carried_names<Rule>()`; empty before the first step
};

/// One step of `rule` on one tensor by the loop path's operations, nothing in place. The gradient of a later loss flows
/// to weight, gradient and fields, and to every setting and rate that is given as a tensor.
/// Numerics: those of `Path::loop`; the root of a second moment that is 0 has the slope 0.
/// Errors: `ShapeError` for a weight with more or fewer dimensions than a stage takes.
/// A rule whose settings are tensors is made from settings of `TensorValue`.
/// Example: `auto rule = adamw(AdamSettings<TensorValue>{.rate = rate, .beta1 = beta1}) | decay(0.1, times_rate);
///           state = differentiable_step(rule, state, gradient, {.calls = 0, .rate = rate});`
template <Stage Node>
DifferentiableState differentiable_step(Node const& rule, DifferentiableState const& state, Tensor const& gradient,
                                        Call<TensorValue> const& call) {
  static_assert(check_rule<Node>());
  static_assert(!detail::has_storage<Node>, "differentiable_step: rounding has no slope (leave store and weights_in out)");
  using Whole = Applied<Node>;
  constexpr auto dimensions = dimensions_of<Whole>;
  check<ShapeError>(dimensions.fewest <= state.weight.dim() && state.weight.dim() <= dimensions.most,
                    "differentiable_step: expected a weight of ", dimensions.fewest, " to ", dimensions.most,
                    " dimensions, found shape ", to_string(state.weight.sizes()));
  constexpr auto field_count = static_cast<std::size_t>(Layout<Whole>::fields);
  std::array<TensorValue, Layout<Whole>::numbers> numbers;
  std::vector<TensorValue> carried = state.carried;
  carried.resize(Layout<Whole>::carried);
  write_numbers(applied(rule), call, numbers.data(), carried.data());
  Element<TensorValue> at{state.weight, gradient, {}};
  constexpr auto starts = fields_that_start_at_weight<Node>();
  std::array<TensorValue, field_count + 1> fields;  // one more: an array may not be empty
  for (std::size_t k = 0; k < field_count; ++k) {
    auto const start = [&]() -> Tensor {
      if (starts[k]) return state.weight;
      return state.weight.new_zeros(field_shape(rule, static_cast<int>(k), state.weight.sizes().vec()));
    };
    fields[k] = state.fields.empty() ? start() : state.fields[k];
  }
  run_stages<Whole, StageCode::apart>(numbers.data(), at, fields.data());
  DifferentiableState after{at.weight.tensor, {}, std::move(carried)};
  for (std::size_t k = 0; k < field_count; ++k) after.fields.push_back(fields[k].beside(state.weight));
  return after;
}

}  // namespace lierne
