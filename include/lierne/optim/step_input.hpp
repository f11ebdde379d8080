// SPDX-License-Identifier: Apache-2.0
// What a step is given: the checks of slots and gradients that all optimizers share, and the gradient norm.
#pragma once

#include <cmath>

#include "lierne/optim/kernel/norm.hpp"
#include "lierne/optim/kernel/passes.hpp"
#include "lierne/optim/optimizer.hpp"

namespace lierne {

namespace detail {

inline constexpr char const* state_prefix = "optim.state.";

inline std::string state_key(std::string const& name, std::string_view field) {
  return state_prefix + name + "." + std::string(field);
}

// The gradient of a slot, contiguous; checks all that the passes rely on.
inline Tensor checked_gradient(Slot const& slot, Passes const& passes) {
  auto const& weight = slot.weight;
  auto const& gradient = weight.grad();
  bool const bf16 = weight.scalar_type() == bfloat16;
  check<ShapeError>(!bf16 || passes.storage().weights.form != Storage::plain, "optimizer: '", slot.name,
                    "': found a weight of BFloat16, which the rule '", passes.name(),
                    "' does not say how to update (append | weights_in(bf16_stochastic), or another form)");
  check<ShapeError>(bf16 || weight.scalar_type() == float32 || weight.scalar_type() == float64, "optimizer: '", slot.name,
                    "': expected a weight of float32 or float64, found ", at::toString(weight.scalar_type()));
  check<ShapeError>(weight.is_contiguous(), "optimizer: '", slot.name, "': expected a contiguous weight, found strides ",
                    to_string(weight.strides()), " of shape ", to_string(weight.sizes()));
  check<ShapeError>(gradient.layout() == at::kStrided, "optimizer: '", slot.name,
                    "': expected a dense gradient, found a sparse one");
  check<ShapeError>(gradient.sizes() == weight.sizes(), "optimizer: '", slot.name, "': expected a gradient of shape ",
                    to_string(weight.sizes()), ", found ", to_string(gradient.sizes()));
  check<ShapeError>((gradient.scalar_type() == weight.scalar_type() || (bf16 && gradient.scalar_type() == float32)) &&
                        gradient.device() == weight.device(),
                    "optimizer: '", slot.name, "': expected a gradient of ", at::toString(weight.scalar_type()), " on ",
                    weight.device(), ", found ", at::toString(gradient.scalar_type()), " on ", gradient.device());
  return gradient.contiguous();
}

inline std::map<std::string, double> metrics_over_ranks(std::vector<MonitorBook> books, Monitor const& monitor,
                                                        StepContext const& context) {
  check(!context.sum_over_ranks || context.reduce_over_ranks,
        "optimizer: a monitor over ranks needs StepContext::reduce_over_ranks beside sum_over_ranks");
  return monitor_metrics(std::move(books), monitor.only_global, context.reduce_over_ranks);
}

// The norm of gradients that were counted on all ranks, as the rule behind `accumulate` and `unscale` sees them.
inline double global_norm(std::span<Tensor const> counted, Passes const& passes, StepContext const& context) {
  double const squares = sum_of_squares(counted);
  double const norm = std::sqrt(context.sum_over_ranks ? context.sum_over_ranks(squares) : squares);
  return norm / (context.loss_scale * std::max(1, passes.accumulates()));
}

inline void check_loss_scale(Passes const& passes, StepContext const& context) {
  check(context.loss_scale == 1 || passes.unscales(), "optimizer: a loss scale of ", context.loss_scale,
        " needs unscale() in the rule '", passes.name(), "' (write unscale() | ...)");
}

}  // namespace detail

}  // namespace lierne
