// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/early_stop.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace lierne;

TEST_CASE("a run is done when so many validations brought nothing better") {
  EarlyStop stop{.patience = 2};
  for (double loss : {3.0, 2.0, 2.5, 1.9, 1.9}) CHECK_FALSE(stop.done(loss));
  CHECK(stop.done(2.0));
  CHECK(stop.best == 1.9);
  CHECK(stop.without == 2);
}

TEST_CASE("without patience it is never done, and NaN is no improvement") {
  EarlyStop never, once{.patience = 1};
  for (int k = 0; k < 100; ++k) CHECK_FALSE(never.done(k));
  CHECK_FALSE(once.done(1));
  CHECK(once.done(std::nan("")));
}
