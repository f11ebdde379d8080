// SPDX-License-Identifier: Apache-2.0
// Schedules against torchtitan's, and their laws.
#include "lierne/optim/schedule.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/decay.hpp"

using namespace lierne;

static_assert(ScheduleParts<Warmup> && ScheduleParts<decltype(Warmup{} | Stable{} | Cooldown{})>);
static_assert(!ScheduleParts<ClipNorm>);
static_assert(detail::PartsInOrder<decltype(Warmup{} | (Stable{} | Cooldown{}))>::value);
static_assert(!detail::PartsInOrder<decltype(Stable{} | Warmup{})>::value);
static_assert(!detail::PartsInOrder<decltype(Warmup{} | Warmup{})>::value);

namespace {

Cooldown cooldown(std::string const& shape, double smallest, CooldownLength length) {
  if (shape == "linear") return linear_to(smallest, length);
  return shape == "sqrt" ? sqrt_to(smallest, length) : cosine_to(smallest, length);
}

}  // namespace

TEST_CASE("schedules equal torchtitan's factors") {
  std::ifstream in(std::string(LIERNE_GOLDEN) + "/schedule.json");
  auto const cases = nlohmann::json::parse(in).at("cases");
  REQUIRE(cases.size() == 13);
  for (auto const& one : cases) {
    CAPTURE(one.dump());
    CooldownLength length;
    if (!one["decay_ratio"].is_null()) length.fraction = one["decay_ratio"].get<double>();
    auto const factor = schedule(warmup(one["warmup"].get<std::int64_t>()) | stable() |
                                 cooldown(one["decay_type"].get<std::string>(), one["min_lr_factor"].get<double>(), length));
    auto const total = one["total"].get<std::int64_t>();
    for (std::int64_t k = 0; k <= total; ++k) {
      auto const& expected = one["factor"][static_cast<std::size_t>(k)];
      // Where torchtitan divides by zero, ours has a value all the same.
      if (expected.is_null()) {
        CHECK(std::isfinite(factor(k, total)));
      } else {
        CHECK(std::abs(factor(k, total) - expected.get<double>()) <= 1e-15);
      }
    }
  }
}

TEST_CASE("the stable part need not be written, and steps serve as well as a fraction") {
  auto const long_form = schedule(warmup(3) | stable() | cosine_to(0.1, {.fraction = 0.25}));
  auto const short_form = schedule(warmup(3) | cosine_to(0.1, {.steps = 5}));
  for (std::int64_t k = 0; k <= 20; ++k) CHECK(long_form(k, 20) == short_form(k, 20));
}

TEST_CASE("a fraction is rounded half to even") {
  // 0.5 · 25 = 12.5 -> 12 and 0.5 · 15 = 7.5 -> 8 steps of cooldown.
  auto const factor = schedule(linear_to(0, {.fraction = 0.5}));
  CHECK(factor(13, 25) == 1);
  CHECK(factor(14, 25) == doctest::Approx(1 - 1.0 / 12));
  CHECK(factor(7, 15) == 1);
  CHECK(factor(8, 15) == doctest::Approx(1 - 1.0 / 8));
}

TEST_CASE("edges: no warm-up, nothing but a warm-up, a cooldown of no steps, steps past the end") {
  CHECK(schedule(cosine_to(0.5))(0, 10) == 1);
  CHECK(schedule(stable())(7, 10) == 1);
  auto const only_warmup = schedule(warmup(4));
  CHECK(only_warmup(0, 10) == 0.25);
  CHECK(only_warmup(3, 10) == 1);
  CHECK(only_warmup(10, 10) == 1);
  CHECK(schedule(linear_to(0, {.steps = 0}))(10, 10) == 1);
  CHECK(schedule(warmup(100))(9, 10) == 1);  // no longer than the run
  auto const falling = schedule(linear_to(0.1, {.steps = 100}));
  CHECK(falling(10, 10) == doctest::Approx(0.1));
  CHECK(falling(1000, 10) == doctest::Approx(0.1));
}

TEST_CASE("a rule takes parts or a function") {
  auto const by_parts = scheduled(adamw() | decay(0.1, times_rate), warmup(2) | linear_to(0));
  CHECK(by_parts.schedule(0, 4) == 0.5);
  auto const by_function = scheduled(adamw(), [](std::int64_t step, std::int64_t) { return step == 0 ? 0.25 : 1.0; });
  CHECK(by_function.schedule(0, 0) == 0.25);
}

TEST_CASE("settings that make no sense are refused with what was found") {
  CHECK_THROWS_WITH_AS(warmup(-1), "warmup: steps must be 0 or more, found -1", ArgumentError);
  CHECK_THROWS_WITH_AS(cosine_to(1.5), "cosine_to: the smallest factor must lie in [0, 1], found 1.5", ArgumentError);
  CHECK_THROWS_WITH_AS(linear_to(0, {.fraction = -0.5}), "linear_to: the fraction must lie in [0, 1], found -0.5", ArgumentError);
  CHECK_THROWS_WITH_AS(sqrt_to(0, {.steps = -3}), "sqrt_to: steps must be 0 or more, found -3", ArgumentError);
  CHECK_THROWS_WITH_AS(sqrt_to(0, {.fraction = 0.5, .steps = 3}), "sqrt_to: its length must be a fraction or steps, not both",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(schedule(warmup(2))(0, 0),
                       "schedule: the steps of the whole run must be known, found 0 (set StepContext::total)", ArgumentError);
}
