// SPDX-License-Identifier: Apache-2.0
// Velocities against sums over all past gradients; against torch.optim in peers.cpp.
#include "lierne/optim/sgd.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "optim/one_element.hpp"

using namespace lierne;
using test::directions, test::few_gradients;

static_assert(Layout<decltype(sgd())>::fields == 1 && Layout<decltype(plain_sgd())>::fields == 0);

TEST_CASE("a velocity is the sum of all gradients by age, the first one undampened") {
  auto const heavy = directions(heavy_ball({.momentum = 0.8, .dampening = 0.25}));
  auto const ahead = directions(heavy_ball<Lookahead::nesterov>({.momentum = 0.8}));
  for (std::size_t t = 0; t < few_gradients.size(); ++t) {
    double velocity = 0, undampened = 0;
    for (std::size_t k = 0; k <= t; ++k) {
      double const part = std::pow(0.8, static_cast<double>(t - k)) * few_gradients[k];
      velocity += (k == 0 ? 1 : 0.75) * part;
      undampened += part;
    }
    CHECK(heavy[t] == doctest::Approx(velocity).epsilon(1e-13));
    CHECK(ahead[t] == doctest::Approx(few_gradients[t] + 0.8 * undampened).epsilon(1e-13));
  }
}

TEST_CASE("without momentum the direction is the gradient; qhm without nu as well") {
  CHECK(directions(plain_sgd(0.1)) == few_gradients);
  CHECK(directions(sgd({.momentum = 0})) == few_gradients);
  CHECK(directions(qhm({.nu = 0})) == few_gradients);
}

TEST_CASE("qhm with nu 1 is momentum, uncorrected") {
  CHECK(directions(qhm({.beta = 0.8, .nu = 1})) ==
        directions(recipe("mean", 1.0, QuasiHyperbolic<Bias::kept>{.beta = 0.8, .nu = 1})));
  auto const mean = directions(momentum<Bias::kept>({.beta = 0.8})), mixed = directions(qhm({.beta = 0.8, .nu = 1}));
  for (std::size_t t = 0; t < mean.size(); ++t) CHECK(mixed[t] == doctest::Approx(mean[t]).epsilon(1e-14));
}

TEST_CASE("names say what was chosen") {
  CHECK(name(sgd({.rate = 0.1})) == "sgd 0.1 (heavy ball 0.9)");
  CHECK(name(sgd<Lookahead::nesterov>({.rate = 0.1, .dampening = 0.5})) == "sgd 0.1 (nesterov 0.9 dampening 0.5)");
}
