// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/rate_fit.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace lierne;

namespace {

/// One seed's run at a rate, whose curve ends in `loss`.
Row row_of(double rate, double loss, std::uint64_t seed = 0) {
  Row row{.rate = rate, .seed = seed};
  for (int step = 1; step <= 20; ++step) row.curve.push_back({static_cast<double>(step), step > 18 ? loss : 9});
  return row;
}
Variant variant_of(std::vector<std::pair<double, double>> const& losses_at_log2) {
  Variant variant;
  for (auto const& [log2, loss] : losses_at_log2) {
    variant.candidates.push_back({.rows = {row_of(std::exp2(log2), loss)}, .rate = std::exp2(log2)});
  }
  return variant;
}

}  // namespace

TEST_CASE("the final loss is the mean of the last tenth over seeds") {
  Candidate const candidate{.rows = {row_of(0.1, 3), row_of(0.1, 4, 1)}, .rate = 0.1};
  CHECK(final_loss(candidate) == doctest::Approx(3.5).epsilon(1e-15));
  Candidate diverged{.rows = {row_of(0.1, 3), row_of(0.1, 4, 1)}, .rate = 0.1};
  diverged.rows[1].diverged_at = 7;
  CHECK(std::isnan(final_loss(diverged)));
}

TEST_CASE("a parabola's lowest point is found exactly, whatever the order of the rates") {
  auto const loss = [](double x) { return 2 + 0.3 * (x + 7.3) * (x + 7.3); };
  auto const fit = fit_rates(variant_of({{-6, loss(-6)}, {-9, loss(-9)}, {-7, loss(-7)}, {-8, loss(-8)}, {-5, loss(-5)}}));
  CHECK(fit.log2_rate == doctest::Approx(-7.3).epsilon(1e-12));
  CHECK(fit.loss == doctest::Approx(2).epsilon(1e-12));
  CHECK(fit.inside);
  CHECK(fit.log2_rates.front() == doctest::Approx(-9));
  CHECK(fit.at(-6.5) == doctest::Approx((loss(-7) + loss(-6)) / 2));
  CHECK(std::isnan(fit.at(-4)));
  CHECK(fit.best_loss() == loss(-7));
}

TEST_CASE("far rates do not bend the parabola, nor do diverged ones") {
  auto const loss = [](double x) { return 2 + 0.3 * (x + 7.3) * (x + 7.3); };
  auto variant = variant_of({{-12, 100}, {-9, loss(-9)}, {-8, loss(-8)}, {-7, loss(-7)}, {-6, loss(-6)}, {-5, 3}});
  variant.candidates.back().rows.front().diverged_at = 3;
  CHECK(fit_rates(variant).log2_rate == doctest::Approx(-7.3).epsilon(1e-12));
}

TEST_CASE("what cannot be fitted is the best rate itself") {
  auto const at_edge = fit_rates(variant_of({{-8, 3}, {-7, 2.5}, {-6, 2.2}}));
  CHECK_FALSE(at_edge.inside);
  auto const two = fit_rates(variant_of({{-8, 3}, {-7, 2.5}}));
  CHECK(two.log2_rate == -7);
  CHECK(two.loss == 2.5);
  auto const bent_down = fit_rates(variant_of({{-8, 2.5}, {-7, 2.4}, {-6, 2.0}}));
  CHECK(bent_down.log2_rate == -6);
  auto none = variant_of({{-8, 2}});
  none.candidates.front().rows.front().diverged_at = 1;
  CHECK(std::isnan(fit_rates(none).log2_rate));
}
