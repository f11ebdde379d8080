// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/any_rule.hpp"

#include <set>

#include "sweep/rules.hpp"

using namespace lierne;

namespace {

struct Quiet {  // a stage without a name, whose setting shows in its numbers alone
  using pipe_role = StageRole;
  double strength = 1;
  constexpr auto coefficients(auto const&) const { return std::array{strength}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.direction = numbers[0] * at.direction;
  }
};

}  // namespace

TEST_CASE("stages join a rule from both sides, and give the typed rule bit for bit") {
  auto const typed = clip_norm(1.0) | decay(0.01, coupled) | adamw({.rate = 0.02}) | decay(0.1, times_rate);
  AnyRule const rule = adamw({.rate = 0.01});
  auto const joined = clip_norm(1.0) | (decay(0.01, coupled) | rule.at(0.02)) | decay(0.1, times_rate);
  CHECK(joined.name() == name(typed));
  test::check_equal(test::after_steps(*bind(scheduled(joined, warmup(3))), float32),
                    test::after_steps(*bind(scheduled(typed, warmup(3))), float32));
}

TEST_CASE("storage joins a rule, and one that the rule cannot have is named when it is bound") {
  AnyRule const rule = adamw({.rate = 0.01});
  auto const stored = rule | store<"exp_avg">(bf16_stochastic);
  test::check_equal(test::after_steps(*bind(stored), float32),
                    test::after_steps(*bind(adamw({.rate = 0.01}) | store<"exp_avg">(bf16_stochastic)), float32));
  CHECK_THROWS_WITH_AS(bind(rule | store<"momentum_buffer">(bf16_stochastic)),
                       doctest::Contains("store: the rule keeps no field 'momentum_buffer'"), ArgumentError);
  CHECK_THROWS_WITH_AS(bind(stored | store<"exp_avg">(eight_bit_blocks)),
                       doctest::Contains("store: the field 'exp_avg' is stored in two forms"), ArgumentError);
  CHECK_THROWS_WITH_AS(bind(rule | weights_in(bf16_kahan) | weights_in(bf16_kahan)), doctest::Contains("says it twice"), ArgumentError);
}

TEST_CASE("groups reach the optimizer") {
  auto const map = groups(on(named("w33"), {.rate = 0.5}), otherwise());
  auto const rule = adamw({.rate = 0.01});
  test::check_equal(test::after_steps(*bind(scheduled(AnyRule(rule), warmup(3), map)), float64),
                    test::after_steps(*bind(scheduled(rule, warmup(3), map)), float64));
}

TEST_CASE("rules that differ in anything differ in their fingerprint") {
  std::vector<AnyRule> all{adamw(), adamw({.rate = 2e-3}), adamw({.beta2 = 0.99}), adopt(), clip_norm(1) | adamw(),
                           adamw() | decay(0.1, times_rate), scheduled(adamw(), warmup(2)), scheduled(adamw(), warmup(3)),
                           scheduled(adamw(), [](std::int64_t, std::int64_t) { return 0.5; }),
                           recipe("own", 1e-3, Quiet{1}), recipe("own", 1e-3, Quiet{2}),
                           scheduled(adamw(), warmup(2), groups(on(named("a"), {.rate = 0.5}), otherwise())),
                           scheduled(adamw(), warmup(2), groups(on(named("a"), {.rate = 0.25}), otherwise()))};
  std::set<std::uint64_t> seen;
  for (auto const& rule : all) CHECK(seen.insert(rule.fingerprint(10)).second);
  CHECK(AnyRule(adamw()).fingerprint(10) == AnyRule(adamw()).fingerprint(10));
  CHECK(all[0].at(2e-3).fingerprint(10) == all[1].fingerprint(10));
}

TEST_CASE("a rule has a short name, and may have rates to try") {
  AnyRule const rule = clip_norm(1.0) | adopt();
  CHECK(rule.title == "adopt");
  CHECK(rule.rate() == 1e-3);
  CHECK(named("mine", rule).title == "mine");
  CHECK(AnyRule(named("mine", adopt())).title == "mine");
  CHECK(at_rates({1, 2}, named("mine", rule)).rates == std::vector{1.0, 2.0});
  CHECK(at_rates({1, 2}, rule).title == "adopt");
}

TEST_CASE("impossible rates and joints are refused") {
  AnyRule const waiting = scheduled(adamw(), warmup(2), mup_groups(times_rate));
  CHECK_THROWS_WITH_AS(bind(waiting), doctest::Contains("the groups of rule 'adamw' depend on the model"), ArgumentError);
  CHECK_NOTHROW(bind(waiting, ModelFacts{.width = 8}));
  AnyRule const rule = clip_norm(1.0) | adamw();
  CHECK_THROWS_WITH_AS(rule.at(0), "rule: expected a rate above 0 and finite, found 0", ArgumentError);
  CHECK_THROWS_AS(rule.at(std::numeric_limits<double>::infinity()), ArgumentError);
  CHECK_THROWS_WITH_AS(at_rates({}, rule), doctest::Contains("at least one rate for adamw"), ArgumentError);
  CHECK_THROWS_AS(at_rates({1, -1}, rule), ArgumentError);
  CHECK_THROWS_WITH_AS(maximize() | rule, doctest::Contains("clip_norm: it must be the first stage"), ArgumentError);
}
