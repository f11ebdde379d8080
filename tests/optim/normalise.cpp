// SPDX-License-Identifier: Apache-2.0
// Division by second moments against sums over all past gradients.
#include "lierne/optim/normalise.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/pass.hpp"

using namespace lierne;

static_assert(Layout<Normalise<>>::fields == 1 && Layout<NormaliseByMaximum<>>::fields == 2);
static_assert(Layout<NormaliseByPrevious<>>::numbers == 4 && Gate<NormaliseByPrevious<Epsilon::added>>);

namespace {

std::vector<double> const gradients{0.3, -1.2, 2.5, 0, 0.7, -0.1, 0.05, -0.03};
double constexpr direction = 3;

template <class S>
struct Run {
  std::vector<double> directions;
  std::vector<bool> passed;
  std::array<Lane<double>, 2> fields{};

  explicit Run(S const& stage, Multipliers const& multipliers = {}) {
    for (std::size_t t = 0; t < gradients.size(); ++t) {
      std::array<double, Layout<S>::numbers> numbers;
      write_numbers(stage, Call<>{.calls = static_cast<std::int64_t>(t), .multipliers = multipliers}, numbers.data());
      Element<Lane<double>> at{.weight = 0, .gradient = gradients[t], .direction = direction};
      passed.push_back(run_stages<S>(numbers.data(), at, fields.data()));
      directions.push_back(at.direction.value);
    }
  }
};

// The weighted mean of squares up to t, starting at `start` · β^t.
double moment(std::size_t t, double beta, double start = 0, std::size_t first = 0) {
  double v = start;
  for (std::size_t k = first; k <= t; ++k) v = beta * v + (1 - beta) * gradients[k] * gradients[k];
  return v;
}

}  // namespace

TEST_CASE("normalise divides by the corrected root and adds or floors epsilon") {
  double const beta = 0.9, epsilon = 0.05;
  Run const added(normalise({.beta = beta, .epsilon = epsilon}));
  Run const floored(normalise<Epsilon::floor>({.beta = beta, .epsilon = epsilon}));
  Run const by_maximum(normalise_by_maximum({.beta = beta, .epsilon = epsilon}));
  double largest = 0;
  for (std::size_t t = 0; t < gradients.size(); ++t) {
    double const correction = 1 - std::pow(beta, static_cast<double>(t + 1));
    double const root = std::sqrt(moment(t, beta) / correction);
    largest = std::max(largest, moment(t, beta));
    CHECK(added.directions[t] == doctest::Approx(direction / (root + epsilon)).epsilon(1e-12));
    CHECK(floored.directions[t] == doctest::Approx(direction / std::max(root, epsilon)).epsilon(1e-12));
    CHECK(by_maximum.directions[t] == doctest::Approx(direction / (std::sqrt(largest / correction) + epsilon)).epsilon(1e-12));
  }
}

TEST_CASE("normalise_by_previous stores first, then divides by what the call before left") {
  double const beta = 0.9, epsilon = 0.2;
  Run const floored(normalise_by_previous({.beta = beta, .epsilon = epsilon}));
  Run const added(normalise_by_previous<Epsilon::added>({.beta = beta, .epsilon = epsilon}));
  CHECK_FALSE(floored.passed[0]);
  CHECK(floored.directions[0] == direction);
  for (std::size_t t = 1; t < gradients.size(); ++t) {
    double const before = t == 1 ? gradients[0] * gradients[0] : moment(t - 1, beta, gradients[0] * gradients[0], 1);
    CHECK(floored.passed[t]);
    CHECK(floored.directions[t] == doctest::Approx(direction / std::max(std::sqrt(before), epsilon)).epsilon(1e-12));
    CHECK(added.directions[t] == doctest::Approx(direction / (std::sqrt(before) + epsilon)).epsilon(1e-12));
  }
}

TEST_CASE("the multiplier of epsilon reaches every form") {
  Multipliers const tenfold{.epsilon = 10};
  CHECK(Run(normalise({.epsilon = 0.05}), tenfold).directions == Run(normalise({.epsilon = 0.5})).directions);
  CHECK(Run(normalise_by_maximum({.epsilon = 0.05}), tenfold).directions == Run(normalise_by_maximum({.epsilon = 0.5})).directions);
  CHECK(Run(normalise_by_previous({.epsilon = 0.05}), tenfold).directions == Run(normalise_by_previous({.epsilon = 0.5})).directions);
}
