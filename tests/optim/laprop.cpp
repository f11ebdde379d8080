// SPDX-License-Identifier: Apache-2.0
// LaProp against its formula; against pytorch-optimizer in peers.cpp.
#include "lierne/optim/laprop.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "optim/one_element.hpp"

using namespace lierne;
using test::directions, test::few_gradients;

TEST_CASE("laprop is momentum of normalised gradients") {
  auto const found = directions(laprop({.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3}));
  double m = 0, v = 0;
  for (std::size_t i = 0; i < few_gradients.size(); ++i) {
    double const t = static_cast<double>(i + 1), g = few_gradients[i];
    v = 0.9 * v + 0.1 * g * g;
    m = 0.8 * m + 0.2 * g / (std::sqrt(v / (1 - std::pow(0.9, t))) + 1e-3);
    CHECK(found[i] == doctest::Approx(m / (1 - std::pow(0.8, t))).epsilon(1e-12));
  }
}

TEST_CASE("its first direction is the gradient's sign, and a large gradient cannot make a later one large") {
  CHECK(directions(laprop(), {-7.0})[0] == doctest::Approx(-1).epsilon(1e-12));
  for (double u : directions(laprop({.beta2 = 0.9}), {1e-3, 1e6, -1e-3, 1e-3})) CHECK(std::abs(u) <= 2.0);
}
