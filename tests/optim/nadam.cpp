// SPDX-License-Identifier: Apache-2.0
// NAdam against its formula with the product kept as state; against torch.optim in peers.cpp.
#include "lierne/optim/nadam.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "optim/one_element.hpp"

using namespace lierne;
using test::directions, test::few_gradients;

static_assert(Layout<decltype(nadam())>::fields == 2);

TEST_CASE("nadam equals its formula") {
  auto const found = directions(nadam({.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .warmth = 0.2}));
  double m = 0, v = 0, product = 1;
  for (std::size_t i = 0; i < few_gradients.size(); ++i) {
    double const t = static_cast<double>(i + 1), g = few_gradients[i];
    double const mu = 0.8 * (1 - 0.5 * std::pow(0.96, 0.2 * t)), next = 0.8 * (1 - 0.5 * std::pow(0.96, 0.2 * (t + 1)));
    product *= mu;
    m = 0.8 * m + 0.2 * g;
    v = 0.9 * v + 0.1 * g * g;
    double const divisor = std::sqrt(v / (1 - std::pow(0.9, t))) + 1e-3;
    double const expected = ((1 - mu) / (1 - product) * g + next / (1 - product * next) * m) / divisor;
    CHECK(found[i] == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("the product of the factors, found anew, is the one kept as state, after many calls too") {
  for (double beta : {0.0, 0.9, 0.999}) {
    NesterovMomentum<> const stage{.beta = beta};
    double product = 1;
    for (std::int64_t t = 1; t <= 3000; ++t) {
      product *= stage.factor(t);
      auto const numbers = stage.coefficients(Call<>{.calls = t - 1});
      CHECK(numbers[1] == doctest::Approx((1 - stage.factor(t)) / (1 - product)).epsilon(1e-14));
    }
  }
}
