// SPDX-License-Identifier: Apache-2.0
// Differentiable steps: the same weights as the loop path, and gradients that finite differences confirm.
#include "lierne/optim/differentiable.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "lierne/tensor/autograd.hpp"

using namespace lierne;

namespace {

auto const doubles = at::TensorOptions().dtype(float64);
using Number = TensorValue;

// Rate, β1, β2 and a start of four weights: everything that is differentiated.
struct Inputs {
  Tensor rate = at::full({}, 0.1, doubles), beta1 = at::full({}, 0.8, doubles), beta2 = at::full({}, 0.95, doubles);
  Tensor weight = at::linspace(-1, 2, 4, doubles).view({2, 2});
};

// The loss after four steps on the loss Σ w⁴/4, whose gradient is w³. Four, for ADOPT moves nothing in its first call, so
// that only in the fourth does its second moment depend on β2.
template <class MakeRule>
Tensor loss_after_steps(MakeRule const& make_rule, Inputs const& inputs) {
  auto const rule = make_rule(inputs);
  DifferentiableState state{inputs.weight, {}};
  for (std::int64_t calls = 0; calls < 4; ++calls) {
    state = differentiable_step(rule, state, state.weight.pow(3), {.calls = calls, .rate = inputs.rate});
  }
  return state.weight.pow(4).sum() / 4;
}

// Which of the settings a rule depends on; the others must get no gradient or zeros.
enum class Betas { none, first, both };

template <class MakeRule>
void compare_with_differences(char const* recipe, Betas betas, MakeRule const& make_rule) {
  INFO(std::string(recipe));
  Inputs inputs;
  struct Input {
    char const* name;
    Tensor* tensor;
    bool used;
  };
  for (auto const& [name, tensor, used] : {Input{"rate", &inputs.rate, true},
                                           Input{"beta1", &inputs.beta1, betas != Betas::none},
                                           Input{"beta2", &inputs.beta2, betas == Betas::both},
                                           Input{"weight", &inputs.weight, true}}) {
    INFO(std::string(name));
    tensor->requires_grad_();
    if (auto const loss = loss_after_steps(make_rule, inputs); loss.requires_grad()) backward(loss);
    REQUIRE((tensor->grad().defined() || !used));
    auto const gradient = tensor->grad().defined() ? tensor->grad().reshape(-1) : at::zeros({tensor->numel()}, doubles);
    tensor->requires_grad_(false);
    tensor->mutable_grad().reset();
    for (std::int64_t i = 0; i < tensor->numel(); ++i) {
      NoGrad const no_grad;
      auto const element = tensor->view(-1)[i];
      double const h = 1e-6;
      element.add_(h);
      double const above = loss_after_steps(make_rule, inputs).template item<double>();
      element.sub_(2 * h);
      double const below = loss_after_steps(make_rule, inputs).template item<double>();
      element.add_(h);
      double const expected = (above - below) / (2 * h);
      CHECK(gradient[i].template item<double>() == doctest::Approx(expected).epsilon(1e-6));
      if (used && tensor->dim() == 0) CHECK(std::abs(expected) > 1e-4);  // a setting that moves nothing proves nothing
    }
  }
}

}  // namespace

TEST_CASE("gradients through four steps with respect to rate and betas and weights") {
  auto const adam = [](Inputs const& in) { return AdamSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3}; };
  compare_with_differences("adamw", Betas::both, [&](Inputs const& in) { return adamw(adam(in)) | decay(0.1, times_rate); });
  compare_with_differences("adam", Betas::both, [&](Inputs const& in) { return decay(0.1, coupled) | adamw(adam(in)); });
  compare_with_differences("adamw by schedule", Betas::both, [&](Inputs const& in) {
    return adamw(adam(in)) | decay(0.1, times_schedule);
  });
  compare_with_differences("adamw by floor", Betas::both, [](Inputs const& in) {
    return recipe("floor", Number(in.rate),
                  Momentum<Bias::corrected, Number>{in.beta1} | Normalise<Epsilon::floor, Number>{in.beta2, 1e-3});
  });
  compare_with_differences("amsgrad", Betas::both, [&](Inputs const& in) { return amsgrad(adam(in)); });
  compare_with_differences("maximize", Betas::both, [&](Inputs const& in) { return maximize() | adamw(adam(in)); });
  compare_with_differences("nadam", Betas::both, [](Inputs const& in) {
    return nadam(NadamSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3});
  });
  compare_with_differences("qhadamw", Betas::both, [](Inputs const& in) {
    return qhadamw(QhAdamSettings<Number>{in.rate, in.beta1, in.beta2, 0.7, 1e-3}) | decay(0.1, independent);
  });
  compare_with_differences("adopt", Betas::both, [](Inputs const& in) {
    return adopt(AdoptSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3}) | decay(0.1, times_rate);
  });
  compare_with_differences("adopt without bound", Betas::both, [](Inputs const& in) {
    return decay(0.01, coupled) | adopt(AdoptSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3}, no_bound);
  });
  compare_with_differences("qhadopt", Betas::both, [](Inputs const& in) {
    return qhadopt(QhAdoptSettings<Number>{in.rate, in.beta1, in.beta2, 0.9, 1e-3}, no_bound);
  });
  compare_with_differences("laprop", Betas::both, [](Inputs const& in) {
    return laprop(LapropSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3});
  });
  compare_with_differences("ademamix", Betas::both, [](Inputs const& in) {
    return ademamix(AdemamixSettings<Number>{in.rate, in.beta1, 0.9, in.beta2, 5, 10, 1e-3});
  });
  compare_with_differences("schedule-free adamw", Betas::both, [](Inputs const& in) {
    return schedule_free_adamw(ScheduleFreeAdamSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3, 0.1});
  });
  compare_with_differences("schedule-free sgd", Betas::first, [](Inputs const& in) {
    return schedule_free_sgd(ScheduleFreeSgdSettings<Number>{in.rate, in.beta1, 0.1});
  });
  compare_with_differences("rmsprop", Betas::first, [](Inputs const& in) {
    return rmsprop(RmspropSettings<Number>{in.rate, in.beta1, 1e-3});
  });
  compare_with_differences("centred rmsprop", Betas::first, [](Inputs const& in) {
    return rmsprop<Centring::mean>(RmspropSettings<Number>{in.rate, in.beta1, 1e-1});
  });
  compare_with_differences("sgd", Betas::first, [](Inputs const& in) {
    return sgd(SgdSettings<Number>{in.rate, in.beta1, 0.1});
  });
  compare_with_differences("nesterov", Betas::first, [](Inputs const& in) {
    return sgd<Lookahead::nesterov>(SgdSettings<Number>{in.rate, in.beta1, 0});
  });
  compare_with_differences("plain sgd", Betas::none, [](Inputs const& in) { return plain_sgd(Number(in.rate)); });
  compare_with_differences("qhm", Betas::first, [](Inputs const& in) {
    return qhm(QhmSettings<Number>{in.rate, in.beta1, 0.7});
  });
  compare_with_differences("aggmo", Betas::both, [](Inputs const& in) {
    return aggmo(AggmoSettings<2, Number>{in.rate, {in.beta1, in.beta2}});
  });
  compare_with_differences("mixed momentum", Betas::both, [](Inputs const& in) {
    return recipe("mixed", Number(in.rate), MixedMomentum<2, Number>{{in.beta1, in.beta2}, {0.5, 0.3}});
  });
  // The slope of a sign is zero, so no β moves the weights.
  compare_with_differences("lion", Betas::none, [](Inputs const& in) {
    return lion(LionSettings<Number>{in.rate, in.beta1, in.beta2});
  });
  compare_with_differences("cautious", Betas::both, [&](Inputs const& in) { return adamw(adam(in)) | cautious(); });
  compare_with_differences("cautious by count", Betas::both, [&](Inputs const& in) {
    return adamw(adam(in)) | cautious<CautiousScale::count>();
  });
  compare_with_differences("cautious decay", Betas::both, [&](Inputs const& in) {
    return adamw(adam(in)) | cautious_decay(0.1, times_rate);
  });
  compare_with_differences("mars", Betas::both, [&](Inputs const& in) { return mars_adamw(adam(in), Number(0.025)); });
  compare_with_differences("muon", Betas::first, [](Inputs const& in) {
    return muon<NewtonSchulz, IterationFormat::exact>(MuonSettings<Number>{in.rate, in.beta1});
  });
  compare_with_differences("normuon", Betas::both, [](Inputs const& in) {
    return normuon<PolarExpress<>, IterationFormat::exact>(NorMuonSettings<Number>{in.rate, in.beta1, in.beta2, 1e-3});
  });
  compare_with_differences("soap", Betas::both, [](Inputs const& in) {
    return soap(SoapSettings<Number>{.rate = in.rate, .beta1 = in.beta1, .beta2 = in.beta2, .epsilon = 1e-3, .frequency = 1});
  });
}

TEST_CASE("a weight of the wrong number of dimensions is refused") {
  DifferentiableState const state{at::ones({3}, doubles), {}};
  CHECK_THROWS_WITH_AS(differentiable_step(normuon(), state, state.weight, {.rate = 0.1}),
                       doctest::Contains("expected a weight of 2 to 2 dimensions, found shape [3]"), ShapeError);
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
