// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/spike_guard.hpp"

#include <doctest/doctest.h>

using namespace lierne;

TEST_CASE("a norm above so many medians is a spike and does not count for the median") {
  SpikeGuard guard(3);
  CHECK(std::isnan(guard.median()));
  for (int k = 0; k < 40; ++k) CHECK_FALSE(guard.spike(1 + 0.01 * (k % 7)));
  double const median = guard.median();
  CHECK(median == doctest::Approx(1.03));
  CHECK(guard.spike(3.01 * median));
  CHECK_FALSE(guard.spike(2.99 * median));
  for (int k = 0; k < 1000; ++k) CHECK(guard.spike(100));
  CHECK(guard.median() == doctest::Approx(median).epsilon(0.02));
}

TEST_CASE("the first norms are none, whatever they are, and without a factor nothing is") {
  SpikeGuard guard(2), off;
  double norm = 1;
  for (std::size_t k = 0; k < SpikeGuard::warm_up; ++k) CHECK_FALSE(guard.spike(norm *= 3));
  CHECK(guard.spike(1e12));
  for (int k = 0; k < 100; ++k) CHECK_FALSE(off.spike(k < 50 ? 1 : 1e9));
}

TEST_CASE("old norms are forgotten, and a restored guard goes on alike") {
  SpikeGuard guard(3);
  for (int k = 0; k < 300; ++k) guard.spike(k < 150 ? 1.0 : 2.0);
  CHECK(guard.norms().size() == SpikeGuard::window);
  CHECK(guard.median() == 2);
  SpikeGuard again(3);
  again.restore(guard.norms());
  for (double norm : {1.0, 7.0, 5.0, 2.5, 6.1}) CHECK(again.spike(norm) == guard.spike(norm));
}

TEST_CASE("a factor that would leave out ordinary steps is refused") {
  CHECK_THROWS_WITH_AS(SpikeGuard(0.5), doctest::Contains("expected 0 (off), or 1 or more times the median gradient norm, found 0.5"),
                       ArgumentError);
  CHECK_THROWS_AS(SpikeGuard(-1), ArgumentError);
}
