// SPDX-License-Identifier: Apache-2.0
// The decoder that a record and a plan describe.
#pragma once

#include "lierne/nn/any_model.hpp"
#include "lierne/nn/loss.hpp"
#include "lierne/spec/fits.hpp"
#include "lierne/tensor/dtype.hpp"

namespace lierne {

namespace detail {

/// The loss slot as the decoder takes it.
template <auto spec>
LossRule loss_of() {
  using Loss = std::remove_cvref_t<decltype(spec.loss)>;
  if constexpr (std::same_as<Loss, CrossEntropy>) {
    return {.options = {.ignored = ignored_label, .z = spec.loss.z, .soft_cap = spec.loss.soft_cap}};
  } else {
    static_assert(requires(Tensor const& t) { { spec.loss(t, t) } -> std::convertible_to<Tensor>; },
                  "Model: a loss of your own must say what it makes of logits (give it `Tensor operator()(Tensor const& "
                  "logits, Tensor const& labels) const`, the sum over the labels that are not ignored_label)");
    return {.own = +[](Tensor const& logits, Tensor const& labels) -> Tensor { return spec.loss(logits, labels); }};
  }
}

/// The layers that stay out of eight bits, of a precision that has some in them; null of every other.
template <auto spec>
constexpr ModuleNames const* not_in_fp8() {
  if constexpr (std::same_as<std::remove_cvref_t<decltype(spec.precision)>, Fp8>) return &spec.precision.excluded;
  return nullptr;
}

}  // namespace detail

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
                  .embedding = Initial::of(spec.scaling.embedding()),
                  .output = Initial::of(spec.scaling.output(spec.width)),
                  .input_multiplier = spec.scaling.input_multiplier(),
                  .output_multiplier = spec.scaling.output_multiplier(spec.width),
                  .tied = spec.tied,
                  .tensor = plan.tensor,
                  .master = master,
                  .compute = compute,
                  .loss = detail::loss_of<spec>(),
                  .not_in_fp8 = detail::not_in_fp8<spec>()},
                 make_blocks<spec, plan.tensor>(),
                 spec.embedding_norm ? make_stream_norm<spec, plan.tensor>() : nullptr,
                 make_stream_norm<spec, plan.tensor>()) {}
};

}  // namespace lierne
