// SPDX-License-Identifier: Apache-2.0
// Several momenta against each of them alone; against pytorch-optimizer in peers.cpp.
#include "lierne/optim/aggmo.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/sgd.hpp"
#include "optim/one_element.hpp"

using namespace lierne;
using test::directions;

static_assert(Layout<decltype(aggmo<3>({.betas = {0, 0.9, 0.99}}))>::fields == 3);
static_assert(field_names<MixedMomentum<2>>()[1] == "exp_avg_1");

TEST_CASE("aggmo is the mean of its velocities") {
  auto const found = directions(aggmo<3>({.betas = {0, 0.5, 0.9}}));
  auto const a = directions(sgd({.momentum = 0})), b = directions(sgd({.momentum = 0.5})), c = directions(sgd({.momentum = 0.9}));
  for (std::size_t t = 0; t < found.size(); ++t) CHECK(found[t] == doctest::Approx((a[t] + b[t] + c[t]) / 3).epsilon(1e-13));
}

TEST_CASE("mixed momentum is a mix of its averages; one alone is quasi-hyperbolic") {
  auto const mixed = directions(MixedMomentum<2>{{0.5, 0.9}, {0.3, 0.6}});
  auto const fast = directions(momentum<Bias::kept>({.beta = 0.5})), slow = directions(momentum<Bias::kept>({.beta = 0.9}));
  for (std::size_t t = 0; t < mixed.size(); ++t) {
    CHECK(mixed[t] == doctest::Approx(0.1 * test::few_gradients[t] + 0.3 * fast[t] + 0.6 * slow[t]).epsilon(1e-13));
  }
  auto const one = directions(MixedMomentum<1>{{0.9}, {0.7}}), quasi = directions(quasi_hyperbolic<Bias::kept>({.beta = 0.9, .nu = 0.7}));
  for (std::size_t t = 0; t < one.size(); ++t) CHECK(one[t] == doctest::Approx(quasi[t]).epsilon(1e-13));
}
