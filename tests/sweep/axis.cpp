// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/axis.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "lierne/spec/with.hpp"

using namespace lierne;

namespace {

constexpr Decoder base{.layers = 1, .width = 32, .vocab = 64, .mixer = Attention{.heads = 2}};

struct Letter {
  char letter;
  std::string name() const { return {letter}; }
};

/// The labels of an axis's cells, with what its body makes of each value.
template <class AxisOf, class Body>
std::vector<std::string> visited(AxisOf const& axis, Body const& body) {
  std::vector<std::string> all;
  axis.each({}, body, [&](Cell const& cell, auto const& bound) {
    std::string line;
    for (auto const& s : cell.settings) line += s.axis + "=" + s.value + (s.tuned ? "*" : "") + " ";
    all.push_back(line + bound());
  });
  CHECK(all.size() == axis.size());
  return all;
}

using Lines = std::vector<std::string>;

}  // namespace

static_assert(Constant<Rope{.base = 5e5}>{}() == Rope{.base = 5e5});
static_assert(std::is_empty_v<Constant<base>>);

TEST_CASE("a structure reaches a template argument through the body's parameter") {
  auto const body = [](auto position) {
    constexpr auto spec = with(base, position());
    return std::to_string(std::is_same_v<decltype(spec.position), NoPosition>);
  };
  CHECK(visited(axis<Rope{}, NoPosition{}>("position"), body) == Lines{"position=rope 10000 0", "position=nope 1"});
}

TEST_CASE("values of one type, of several, and numbers") {
  auto const body = [](auto value) {
    if constexpr (std::is_same_v<decltype(value), Letter>) return std::string(1, value.letter);
    else return std::to_string(static_cast<int>(value * 10));
  };
  CHECK(visited(axis("letter", Letter{'a'}, Letter{'b'}), body) == Lines{"letter=a a", "letter=b b"});
  CHECK(visited(axis("mixed", Letter{'a'}, 3), body) == Lines{"mixed=a a", "mixed=3 30"});
  CHECK(visited(numbers("n", {0.5, 2}), body) == Lines{"n=0.5 5", "n=2 20"});
  CHECK(visited(tuned(numbers("n", {0.5})), body) == Lines{"n=0.5* 5"});
}

TEST_CASE("rules come in one type, with their rates") {
  auto const body = [](AnyRule rule) { return number(rule.rate()); };
  auto const all = axis("rule", adamw(), at_rates({1, 2}, adopt()), named("mine", lion()));
  static_assert(std::is_same_v<decltype(all), RuleAxis const>);
  CHECK(visited(all, body) == Lines{"rule=adamw 0.001", "rule=adopt rate=1* 1", "rule=adopt rate=2* 2", "rule=mine 0.0001"});
  // Equal short names: the whole rule tells them apart.
  auto const twins = rules("rule", {adamw(), adamw({.beta2 = 0.95})});
  CHECK(twins.rules[0].title == twins.rules[0].name());
  CHECK(twins.rules[0].title != twins.rules[1].title);
}

TEST_CASE("rates and seeds change the cell and leave the body alone") {
  auto const body = [] { return std::string("-"); };
  CHECK(visited(rates({1, 2}), body) == Lines{"rate=1* -", "rate=2* -"});
  CHECK(visited(rate_factors({0.5}), body) == Lines{"rate factor=0.5* -"});
  CHECK(visited(seeds(3), body) == Lines{"-", "-", "-"});
  std::vector<double> seen;
  rates({3}).each({}, body, [&](Cell const& cell, auto const&) { seen.push_back(cell.rate.value() * cell.rate_factor); });
  rate_factors({3}).each({}, body, [&](Cell const& cell, auto const&) { seen.push_back(cell.rate ? -1 : cell.rate_factor); });
  seeds(3).each({.seed = 4}, body, [&](Cell const& cell, auto const&) { seen.push_back(static_cast<double>(cell.seed)); });
  CHECK(seen == std::vector<double>{3, 3, 4, 5, 6});
}

TEST_CASE("two values of one name, and axes without values, are errors") {
  CHECK_THROWS_WITH_AS(numbers("n", {1, 2, 1}), doctest::Contains("axis 'n': two values are named '1'"), ArgumentError);
  CHECK_THROWS_WITH_AS(rules("rule", {adamw(), adamw()}), doctest::Contains("two values are named 'adamw 0.001 ("), ArgumentError);
  CHECK_THROWS_WITH_AS(numbers("n", {}), doctest::Contains("at least one value"), ArgumentError);
  CHECK_THROWS_AS(axis("letter", Letter{'a'}, Letter{'a'}), ArgumentError);
  CHECK_THROWS_AS(rates({1, 1}), ArgumentError);
  CHECK_THROWS_AS(rates({-1}), ArgumentError);
  CHECK_THROWS_WITH_AS(seeds(0), "seeds: expected at least 1, found 0", ArgumentError);
}
