// SPDX-License-Identifier: Apache-2.0
// A call in the middle of a backward pass: as soon as the gradient of one leaf is complete.
#pragma once

#include <functional>

#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#endif

namespace lierne {

/// Calls a function in every backward pass that reaches a leaf, when all that the pass adds to its gradient is in
/// `leaf.grad()`. The function may change the leaf and release the gradient. It runs on the thread that the pass runs
/// on. The call ends with the life of this. Errors: `ArgumentError` for a tensor that is no leaf or wants no gradient,
/// and for one that has such a call already. What the function throws comes out of `backward`.
/// Example: `GradientHook const hook(weight, [&] { weight.mutable_grad().reset(); });`
class GradientHook {
 public:
  GradientHook(Tensor leaf, std::function<void()> call);
  ~GradientHook();
  GradientHook(GradientHook const&) = delete;

 private:
  Tensor leaf_;
};

#if LIERNE_BODIES
namespace detail {

struct PostAccumulateCall final : torch::autograd::PostAccumulateGradHook {
  explicit PostAccumulateCall(std::function<void()> given) : call(std::move(given)) {}
  void operator()(torch::autograd::Variable const&) override { call(); }

  std::function<void()> call;
};

}  // namespace detail

LIERNE_INLINE GradientHook::GradientHook(Tensor leaf, std::function<void()> call) : leaf_(std::move(leaf)) {
  check(leaf_.defined() && leaf_.is_leaf() && leaf_.requires_grad(),
        "gradient hook: expected a leaf that requires a gradient, found another tensor");
  check(torch::autograd::impl::post_acc_grad_hooks(leaf_) == nullptr,
        "gradient hook: expected a leaf without a call after its gradient, found one that has it");
  torch::autograd::impl::set_post_acc_grad_hooks(leaf_, std::make_unique<detail::PostAccumulateCall>(std::move(call)));
}

LIERNE_INLINE GradientHook::~GradientHook() { torch::autograd::impl::set_post_acc_grad_hooks(leaf_, nullptr); }
#endif

}  // namespace lierne
