// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/gradient_noise.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "lierne/core/error.hpp"

using namespace lierne;

namespace {

/// Gradients of examples: G plus noise of independent coordinates with known deviations.
struct Examples {
  std::vector<double> mean{0.5, -1.0, 0.25, 0.0, 2.0};
  std::vector<double> deviation{1.0, 3.0, 0.5, 2.0, 0.0};
  std::mt19937_64 generator{11};
  std::normal_distribution<double> normal{};

  double signal() const {
    double sum = 0;
    for (double g : mean) sum += g * g;
    return sum;
  }
  double noise() const {
    double sum = 0;
    for (double s : deviation) sum += s * s;
    return sum;
  }
  /// The sum of the gradients of `count` examples.
  std::vector<double> sum(int count) {
    std::vector<double> total(mean.size());
    for (int i = 0; i < count; ++i) {
      for (std::size_t d = 0; d < mean.size(); ++d) total[d] += mean[d] + deviation[d] * normal(generator);
    }
    return total;
  }
};

double squared_mean(std::vector<double> const& sum, double count) {
  double squares = 0;
  for (double x : sum) squares += x / count * (x / count);
  return squares;
}

struct Step {
  std::vector<GradientNorm> parts;
  GradientNorm whole;
};

Step step_of(Examples& examples, std::vector<int> const& sizes) {
  Step step;
  std::vector<double> total(examples.mean.size());
  for (int const size : sizes) {
    auto const part = examples.sum(size);
    step.parts.push_back({static_cast<double>(size), squared_mean(part, size)});
    for (std::size_t d = 0; d < total.size(); ++d) total[d] += part[d];
    step.whole.examples += size;
  }
  step.whole.squared = squared_mean(total, step.whole.examples);
  return step;
}

}  // namespace

TEST_CASE("one step gives the two estimates of the paper") {
  Examples examples;
  auto const step = step_of(examples, {4, 4, 4});
  GradientNoise noise(0.9);
  noise.add(step.parts, step.whole);
  double const small = (step.parts[0].squared + step.parts[1].squared + step.parts[2].squared) / 3;
  double const large = step.whole.squared;
  double const signal = (12 * large - 4 * small) / (12 - 4), variance = (small - large) / (1.0 / 4 - 1.0 / 12);
  CHECK(noise.signal() == doctest::Approx(signal).epsilon(1e-13));
  CHECK(noise.noise() == doctest::Approx(variance).epsilon(1e-13));
  CHECK(noise.scale() == doctest::Approx(variance / signal).epsilon(1e-13));
}

TEST_CASE("several steps are averaged with weights that fall by the memory") {
  Examples examples;
  GradientNoise noise(0.75);
  std::vector<double> signals, variances;
  for (int k = 0; k < 9; ++k) {
    auto const step = step_of(examples, {2, 2});
    noise.add(step.parts, step.whole);
    GradientNoise alone(0);
    alone.add(step.parts, step.whole);
    signals.push_back(alone.signal());
    variances.push_back(alone.noise());
  }
  double signal = 0, variance = 0, weights = 0;
  for (std::size_t k = 0; k < 9; ++k) {
    double const weight = std::pow(0.75, 8 - static_cast<double>(k));
    signal += weight * signals[k], variance += weight * variances[k], weights += weight;
  }
  CHECK(noise.signal() == doctest::Approx(signal / weights).epsilon(1e-12));
  CHECK(noise.noise() == doctest::Approx(variance / weights).epsilon(1e-12));
}

TEST_CASE("gradients of known mean and covariance give their noise scale, with equal parts and with unequal ones") {
  for (auto const& sizes : {std::vector{8, 8, 8, 8}, {1, 3, 12}, {5, 5}}) {
    CAPTURE(sizes.size());
    Examples examples;
    constexpr int runs = 4000;
    double signal = 0, signal_squares = 0, variance = 0, variance_squares = 0;
    GradientNoise averaged(0.999);
    for (int k = 0; k < runs; ++k) {
      auto const step = step_of(examples, sizes);
      GradientNoise one(0);
      one.add(step.parts, step.whole);
      averaged.add(step.parts, step.whole);
      signal += one.signal() / runs, signal_squares += one.signal() * one.signal() / runs;
      variance += one.noise() / runs, variance_squares += one.noise() * one.noise() / runs;
    }
    // Unbiased: the mean lies within four of its own standard errors.
    CHECK(std::abs(signal - examples.signal()) <= 4 * std::sqrt((signal_squares - signal * signal) / runs));
    CHECK(std::abs(variance - examples.noise()) <= 4 * std::sqrt((variance_squares - variance * variance) / runs));
    double const scale = examples.noise() / examples.signal();
    CHECK(averaged.scale() == doctest::Approx(scale).epsilon(0.15));
    // The statistic can tell a wrong size from the right one.
    GradientNoise wrong(0.999);
    for (int k = 0; k < 2000; ++k) {
      auto step = step_of(examples, sizes);
      for (auto& part : step.parts) part.examples /= 2;
      wrong.add(step.parts, step.whole);
    }
    CHECK(std::abs(wrong.scale() / scale - 1) > 0.3);
  }
}

TEST_CASE("no noise and no signal") {
  GradientNoise still(0), lost(0);
  still.add(std::vector<GradientNorm>{{2, 9.0}, {2, 9.0}}, {4, 9.0});
  CHECK(still.scale() == 0);
  CHECK(still.signal() == 9);
  // Parts that point apart: the whole is smaller than noise alone would make it.
  lost.add(std::vector<GradientNorm>{{2, 1.0}, {2, 1.0}}, {4, 0.25});
  CHECK(lost.scale() == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(GradientNoise().scale()));
  CHECK(std::isnan(GradientNoise().signal()));
}

TEST_CASE("what is no batch is refused") {
  GradientNoise noise;
  CHECK_THROWS_WITH_AS(noise.add({}, {4, 1.0}), "GradientNoise: expected at least one part of the batch, found none",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(noise.add(std::vector<GradientNorm>{{4, 1.0}}, {4, 1.0}),
                       "GradientNoise: expected parts of more than 0 and fewer than 4 examples, found 4",
                       ArgumentError);
  CHECK_THROWS_AS(noise.add(std::vector<GradientNorm>{{0, 1.0}}, {4, 1.0}), ArgumentError);
  CHECK_THROWS_WITH_AS(GradientNoise(1), "GradientNoise: expected a memory in [0, 1), found 1", ArgumentError);
}
