// SPDX-License-Identifier: Apache-2.0
// The path of a loss scale by hand; beside torch.amp.GradScaler in peers.cpp.
#include "lierne/optim/loss_scale.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

static_assert(LossScaleSettings{}.start == 65536 && LossScaleSettings{}.interval == 2000);

std::vector<double> path(LossScale scale, std::string const& steps) {
  std::vector<double> scales;
  for (char const step : steps) {  // f: finite, s: skipped, a: accumulated
    scale.update({.accumulated = step == 'a', .skipped = step == 's'});
    scales.push_back(scale.scale());
  }
  return scales;
}

}  // namespace

TEST_CASE("it grows after steps in a row and shrinks at once") {
  LossScale const scale({.start = 8, .interval = 3});
  CHECK(path(scale, "fffff") == std::vector<double>{8, 8, 16, 16, 16});
  CHECK(path(scale, "ffsfff") == std::vector<double>{8, 8, 4, 4, 4, 8});
  CHECK(path(scale, "fafaaf") == std::vector<double>{8, 8, 8, 8, 8, 16});
}

TEST_CASE("it stays finite") {
  LossScale const scale({.start = 3e38, .growth = 4, .interval = 1});
  CHECK(path(scale, "ff")[1] == static_cast<double>(3e38F));
}

TEST_CASE("a scaled loss is the loss times the scale") {
  CHECK(LossScale({.start = 4}).scaled(at::full({}, 2.5)).item<double>() == 10);
}

TEST_CASE("state is saved and loaded between growths") {
  LossScale first({.start = 8, .interval = 4}), second({.start = 1, .interval = 4});
  for (bool const skipped : {true, false, false}) first.update({.skipped = skipped});
  second.load_state(first.state());
  CHECK(path(second, "fff") == path(first, "fff"));
  CHECK(path(second, "ff")[1] == 8);
}

TEST_CASE("settings and states that cannot be are errors") {
  CHECK_THROWS_WITH_AS(LossScale({.start = 0}), doctest::Contains("expected start > 0"), ArgumentError);
  CHECK_THROWS_AS(LossScale({.growth = 0.5}), ArgumentError);
  CHECK_THROWS_AS(LossScale({.backoff = 2}), ArgumentError);
  CHECK_THROWS_AS(LossScale({.interval = 0}), ArgumentError);
  LossScale scale;
  CHECK_THROWS_WITH_AS(scale.load_state({{"optim.loss_scale.scale", at::ones({})}}),
                       doctest::Contains("'optim.loss_scale.growth_tracker', found none"), ArgumentError);
  CHECK(scale.scale() == 65536);
}
