// SPDX-License-Identifier: Apache-2.0
// What a rule says of itself once its type is erased.
#include "lierne/optim/kernel/passes.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/rules.hpp"

using namespace lierne;

static_assert(std::is_base_of_v<Passes, PassesOf<decltype(adamw())>>);
static_assert(std::has_virtual_destructor_v<Passes>);

TEST_CASE("passes know name, rate, fields, numbers and limit of their rule") {
  auto const rule = clip_norm(2) | amsgrad({.rate = 0.5}) | decay(0.1, times_rate);
  std::unique_ptr<Passes const> const passes(new PassesOf<std::remove_const_t<decltype(rule)>>(rule));
  CHECK(passes->name() == name(rule));
  CHECK(passes->initial_rate() == 0.5);
  CHECK(passes->largest_norm() == 2.0);
  REQUIRE(passes->fields().size() == 3);
  CHECK(passes->fields()[0] == "exp_avg");
  CHECK(passes->fields()[2] == "max_exp_avg_sq");
  std::vector<double> numbers(passes->number_count());
  passes->write_numbers(Call<>{.rate = 0.25, .norm = 8}, numbers.data());
  CHECK(numbers.front() == doctest::Approx(0.25).epsilon(1e-6));  // clip: 2 / 8
  CHECK(numbers[numbers.size() - 2] == 1 - 0.25 * 0.1);           // decay
  CHECK(numbers.back() == 0.25);                                  // apply
}

TEST_CASE("a rule that does not clip has no limit") {
  CHECK(!PassesOf<decltype(adamw())>(adamw()).largest_norm().has_value());
}

TEST_CASE("a fused vector is as long as the processor allows") {
  CHECK(fused_lanes<float>() == (wide_packs_run() ? 8 : 4));
  CHECK(fused_lanes<double>() == 2);
}
