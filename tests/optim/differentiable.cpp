// SPDX-License-Identifier: Apache-2.0
// Differentiable steps: the same weights as the loop path, and gradients that finite differences confirm.
#include "lierne/optim/differentiable.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "lierne/tensor/autograd.hpp"

using namespace lierne;

namespace {

auto const doubles = at::TensorOptions().dtype(float64);

// Rate, β1, β2 and a start of four weights: everything that is differentiated.
struct Inputs {
  Tensor rate = at::full({}, 0.1, doubles), beta1 = at::full({}, 0.8, doubles), beta2 = at::full({}, 0.95, doubles);
  Tensor weight = at::linspace(-1, 2, 4, doubles);
  std::vector<Tensor*> all() { return {&rate, &beta1, &beta2, &weight}; }
};

// The loss after three steps on the loss Σ w⁴/4, whose gradient is w³.
template <class MakeRule>
Tensor loss_after_three_steps(MakeRule const& make_rule, Inputs const& inputs) {
  auto const rule = make_rule(inputs);
  DifferentiableState state{inputs.weight, {}};
  for (std::int64_t calls = 0; calls < 3; ++calls) {
    state = differentiable_step(rule, state, state.weight.pow(3), {.calls = calls, .rate = inputs.rate});
  }
  return state.weight.pow(4).sum() / 4;
}

template <class MakeRule>
void compare_with_differences(MakeRule const& make_rule) {
  Inputs inputs;
  for (auto* tensor : inputs.all()) tensor->requires_grad_();
  backward(loss_after_three_steps(make_rule, inputs));
  for (auto* tensor : inputs.all()) {
    auto const gradient = tensor->grad().reshape(-1);
    for (std::int64_t i = 0; i < tensor->numel(); ++i) {
      NoGrad const no_grad;
      auto const element = tensor->view(-1)[i];
      double const h = 1e-6;
      element.add_(h);
      double const above = loss_after_three_steps(make_rule, inputs).template item<double>();
      element.sub_(2 * h);
      double const below = loss_after_three_steps(make_rule, inputs).template item<double>();
      element.add_(h);
      CHECK(gradient[i].template item<double>() == doctest::Approx((above - below) / (2 * h)).epsilon(1e-6));
    }
  }
}

}  // namespace

TEST_CASE("gradients through three steps with respect to rate, betas and weights") {
  compare_with_differences([](Inputs const& in) {
    return adamw(AdamSettings<TensorValue>{in.rate, in.beta1, in.beta2, 1e-3}) | decay(0.1, times_rate);
  });
  compare_with_differences([](Inputs const& in) {
    return qhadamw(QhAdamSettings<TensorValue>{in.rate, in.beta1, in.beta2, 0.7, 1e-3}) | decay(0.1, independent);
  });
  compare_with_differences([](Inputs const& in) {
    return decay(0.01, coupled) | adopt(AdoptSettings<TensorValue>{in.rate, in.beta1, in.beta2, 1e-3}, no_bound);
  });
}

TEST_CASE("the steps are those of the loop path") {
  auto const rule = adopt({.rate = 0.1}) | decay(0.1, times_rate);
  auto const weight = at::linspace(-1, 2, 4, doubles);
  std::vector<Slot> const slots{{.name = "w", .weight = weight.clone()}};
  auto const optimizer = bind(rule, Path::loop);
  DifferentiableState state{weight, {}};
  for (std::int64_t calls = 0; calls < 4; ++calls) {
    auto const gradient = state.weight.pow(3);
    slots[0].weight.mutable_grad() = gradient;
    optimizer->step(slots, {.step = calls});
    state = differentiable_step(rule, state, gradient, {.calls = calls, .rate = 0.1});
    CHECK(at::equal(state.weight, slots[0].weight));
  }
  CHECK(at::equal(weight, at::linspace(-1, 2, 4, doubles)));  // nothing in place
}
