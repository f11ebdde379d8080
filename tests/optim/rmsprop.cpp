// SPDX-License-Identifier: Apache-2.0
// Mean squares against sums; against torch.optim in peers.cpp.
#include "lierne/optim/rmsprop.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "optim/one_element.hpp"

using namespace lierne;
using test::directions, test::few_gradients;

static_assert(Layout<decltype(rmsprop())>::fields == 1 && Layout<decltype(rmsprop<Centring::mean>())>::fields == 2);

TEST_CASE("the gradient over the root of its mean square, or of its variance") {
  auto const plain = directions(rmsprop({.alpha = 0.8, .epsilon = 1e-3}));
  auto const centred = directions(rmsprop<Centring::mean>({.alpha = 0.8, .epsilon = 1e-3}));
  for (std::size_t t = 0; t < few_gradients.size(); ++t) {
    double squares = 0, mean = 0;
    for (std::size_t k = 0; k <= t; ++k) {
      double const weight = 0.2 * std::pow(0.8, static_cast<double>(t - k));
      squares += weight * few_gradients[k] * few_gradients[k];
      mean += weight * few_gradients[k];
    }
    CHECK(plain[t] == doctest::Approx(few_gradients[t] / (std::sqrt(squares) + 1e-3)).epsilon(1e-12));
    CHECK(centred[t] == doctest::Approx(few_gradients[t] / (std::sqrt(squares - mean * mean) + 1e-3)).epsilon(1e-12));
  }
}

TEST_CASE("a gradient that was always zero moves nothing") {
  CHECK(directions(rmsprop(), {0, 0, 0}) == std::vector<double>{0, 0, 0});
  CHECK(directions(rmsprop<Centring::mean>(), {0, 0, 0}) == std::vector<double>{0, 0, 0});
}
