// SPDX-License-Identifier: Apache-2.0
// Moving averages against sums over all past directions.
#include "lierne/optim/momentum.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "optim/one_element.hpp"

using namespace lierne;

static_assert(Layout<Momentum<>>::fields == 1 && Layout<QuasiHyperbolic<>>::fields == 1);
static_assert(std::is_same_v<decltype(momentum<Bias::kept>()), Momentum<Bias::kept>>);

namespace {

auto const& directions = test::few_gradients;

// What a stage makes of the directions, one after the other.
template <class S>
std::vector<double> run(S const& stage) {
  return test::directions(stage);
}

// The weighted mean of directions[0..t] with weights (1 - β)β^age, undivided or divided by their sum.
double mean(std::size_t t, double beta, bool corrected) {
  double sum = 0, weights = 0;
  for (std::size_t k = 0; k <= t; ++k) {
    double const weight = (1 - beta) * std::pow(beta, static_cast<double>(t - k));
    sum += weight * directions[k];
    weights += weight;
  }
  return corrected ? sum / weights : sum;
}

}  // namespace

TEST_CASE("momentum is the exponentially weighted mean of all directions") {
  auto const corrected = run(momentum({.beta = 0.8}));
  auto const kept = run(momentum<Bias::kept>({.beta = 0.8}));
  for (std::size_t t = 0; t < directions.size(); ++t) {
    CHECK(corrected[t] == doctest::Approx(mean(t, 0.8, true)).epsilon(1e-13));
    CHECK(kept[t] == doctest::Approx(mean(t, 0.8, false)).epsilon(1e-13));
  }
}

TEST_CASE("quasi-hyperbolic momentum mixes the direction with the mean") {
  auto const corrected = run(quasi_hyperbolic({.beta = 0.8, .nu = 0.7}));
  auto const kept = run(quasi_hyperbolic<Bias::kept>({.beta = 0.8, .nu = 0.7}));
  for (std::size_t t = 0; t < directions.size(); ++t) {
    CHECK(corrected[t] == doctest::Approx(0.3 * directions[t] + 0.7 * mean(t, 0.8, true)).epsilon(1e-13));
    CHECK(kept[t] == doctest::Approx(0.3 * directions[t] + 0.7 * mean(t, 0.8, false)).epsilon(1e-13));
  }
}

TEST_CASE("edges: beta 0 remembers nothing, nu 0 averages nothing, nu 1 is momentum") {
  auto const forgetful = run(momentum({.beta = 0}));
  for (std::size_t t = 0; t < directions.size(); ++t) CHECK(forgetful[t] == doctest::Approx(directions[t]).epsilon(1e-15));
  CHECK(run(quasi_hyperbolic({.beta = 0.8, .nu = 0})) == directions);
  auto const all = run(quasi_hyperbolic({.beta = 0.8, .nu = 1}));
  for (std::size_t t = 0; t < directions.size(); ++t) CHECK(all[t] == doctest::Approx(mean(t, 0.8, true)).epsilon(1e-13));
}
