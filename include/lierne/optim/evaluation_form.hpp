// SPDX-License-Identifier: Apache-2.0
// What an optimizer keeps while evaluation weights are in place: the trained ones, so that they come back bit for bit.
#pragma once

#include <utility>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/optim/kernel/passes.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// The trained weights of slots that hold evaluation weights. They are copies (as much memory as the gradients, which
/// are absent then): y = (1 - β)z + βx, say, solved for x and back, would lose last digits.
class EvaluationForm {
 public:
  /// Errors: `ArgumentError` where evaluation weights are in place.
  void begin() {
    check_ended("use_evaluation_weights");
    begun_ = true;
  }
  /// Writes the evaluation weight of one parameter over its weight.
  void put(Passes const& passes, Tensor const& weight, std::vector<Tensor> const& fields) {
    put(passes, weight, weight, fields);
  }
  /// The same, computed from the weight and the fields as numbers; `weight` takes them in the form that it is stored in.
  void put(Passes const& passes, Tensor const& weight, Tensor const& numbers, std::vector<Tensor> const& fields) {
    std::vector<TensorValue> const values(fields.begin(), fields.end());
    auto const judged = passes.evaluation_weight(numbers, values.data());
    trained_.emplace_back(weight, weight.clone());
    weight.copy_(judged.tensor);
  }
  /// Puts the trained weights back.
  void end() {
    NoGrad const no_grad;
    for (auto const& [weight, trained] : trained_) weight.copy_(trained);
    trained_.clear();
    begun_ = false;
  }
  bool begun() const { return begun_; }
  /// Errors: `ArgumentError` for a call that wants trained weights.
  void check_ended(char const* call) const {
    check(!begun_, "optimizer: ", call, ": expected the trained weights in place, found the evaluation weights "
          "(call use_training_weights(), or let EvaluationWeights end)");
  }

 private:
  bool begun_ = false;
  std::vector<std::pair<Tensor, Tensor>> trained_;  // the slot's weight, and a copy of what it was
};

namespace detail {

// What a field is before a parameter's first call.
inline Tensor first_value(Passes const& passes, std::size_t field, Tensor const& weight) {
  if (passes.starts_at_weight(field)) return weight.detach().clone();
  return at::zeros(weight.sizes(), weight.options().requires_grad(false));
}

}  // namespace detail

}  // namespace lierne
