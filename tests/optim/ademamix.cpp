// SPDX-License-Identifier: Apache-2.0
// AdEMAMix against a recorded run of pytorch-optimizer.
#include "lierne/optim/ademamix.hpp"

#include <doctest/doctest.h>

#include "optim/one_element.hpp"
#include "optim/trajectory.hpp"

using namespace lierne;

static_assert(Layout<decltype(ademamix())>::fields == 3);

TEST_CASE("ademamix equals AdEMAMix, its schedules included") {
  LIERNE_CHECK_TRAJECTORY("ademamix", ademamix({.rate = 3e-3, .share = 5, .warmup = 40}) | decay(0.1, times_rate));
}

TEST_CASE("without a share of the slow momentum it is adamw") {
  auto const mixed = test::directions(ademamix({.share = 0})), adam = test::directions(adamw());
  for (std::size_t t = 0; t < adam.size(); ++t) CHECK(mixed[t] == doctest::Approx(adam[t]).epsilon(1e-14));
}

TEST_CASE("the schedules begin near nothing, and end at beta3 and the whole share") {
  SlowMomentum<> const stage{.fast = 0.9, .slow = 0.9999, .share = 4, .warmup = 100};
  auto const at = [&](std::int64_t calls) { return stage.coefficients(Call<>{.calls = calls}); };
  CHECK(at(0)[3] == doctest::Approx(0.04));
  // ln β₃ = ln β₁ ln β₃ / (0.99 ln β₃ + 0.01 ln β₁) at the first of 100 calls; without calls behind it would be β₁'s 0.1.
  CHECK(at(0)[2] == doctest::Approx(1 - std::exp(std::log(0.9) * std::log(0.9999) / (0.99 * std::log(0.9999) + 0.01 * std::log(0.9)))));
  CHECK(at(0)[2] < 0.1);
  for (std::int64_t calls = 1; calls < 100; ++calls) CHECK(at(calls)[2] < at(calls - 1)[2]);
  for (std::int64_t calls : {99, 100, 5000}) {
    CHECK(at(calls)[2] == doctest::Approx(1e-4).epsilon(1e-10));
    CHECK(at(calls)[3] == 4);
  }
}
