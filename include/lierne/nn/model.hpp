// SPDX-License-Identifier: Apache-2.0
// The decoder that a record and a plan describe.
#pragma once

#include "lierne/nn/any_model.hpp"
#include "lierne/nn/loss.hpp"
#include "lierne/spec/fits.hpp"
#include "lierne/tensor/dtype.hpp"

namespace lierne {

/// A decoder-only Transformer. Building one allocates nothing; `init` gives it values on a device.
/// Errors (compile time): sizes or a plan that do not fit, each with its message. Run time: see `AnyModel`.
/// Example: `Model<gpt> model; model.init({.seed = 1}); backward(model.loss(tokens, labels, count));`
template <auto spec, Plan plan = Plan{}>
class Model : public AnyModel {
  static_assert(detail::CheckedSpec<spec, plan>::value);

 public:
  static constexpr Dtype master = dtype(decltype(spec.precision)::master);
  static constexpr Dtype compute = dtype(decltype(spec.precision)::compute);
  static constexpr auto record = spec;
  static constexpr Plan plan_record = plan;

  Model()
      : AnyModel({.width = spec.width,
                  .vocab = spec.vocab,
                  .embedding_deviation = spec.scaling.embedding_deviation,
                  .tensor = plan.tensor,
                  .master = master,
                  .compute = compute},
                 make_blocks<spec, plan.tensor>(), make_last_norm<spec, plan.tensor>()) {}
};

}  // namespace lierne
