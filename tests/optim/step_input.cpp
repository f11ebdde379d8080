// SPDX-License-Identifier: Apache-2.0
// The norm of a step's gradients against ATen's; slots that cannot be stepped are refused in rule_optimizer.cpp.
#include "lierne/optim/step_input.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

static_assert(std::string_view(detail::state_prefix) == "optim.state.");

TEST_CASE("a key names the parameter and the field") {
  CHECK(detail::state_key("layers.0.wq.weight", "exp_avg") == "optim.state.layers.0.wq.weight.exp_avg");
}

TEST_CASE("the norm is that of all ranks' gradients divided by calls and loss scale") {
  std::vector<Tensor> const gradients{at::linspace(-3, 5, 23, float64), at::full({4, 2}, 7.0, float64)};
  double const expected = std::sqrt(gradients[0].square().sum().item<double>() + 8 * 49);
  auto const plain = make_passes(adamw());
  auto const both = make_passes(accumulate(4) | unscale() | adamw());
  CHECK(detail::global_norm(gradients, *plain, {}) == doctest::Approx(expected).epsilon(1e-14));
  CHECK(detail::global_norm(gradients, *both, {.loss_scale = 16}) == doctest::Approx(expected / 64).epsilon(1e-14));
  auto const all_ranks = [](double own) { return 4 * own; };
  CHECK(detail::global_norm(gradients, *plain, {.sum_over_ranks = all_ranks}) == doctest::Approx(2 * expected).epsilon(1e-14));
}

TEST_CASE("a loss scale that no stage divides by is refused") {
  CHECK_NOTHROW(detail::check_loss_scale(*make_passes(unscale() | adamw()), {.loss_scale = 2}));
  CHECK_NOTHROW(detail::check_loss_scale(*make_passes(adamw()), {}));
  CHECK_THROWS_WITH_AS(detail::check_loss_scale(*make_passes(adamw()), {.loss_scale = 2}),
                       doctest::Contains("a loss scale of 2 needs unscale() in the rule 'adamw"), ArgumentError);
}
