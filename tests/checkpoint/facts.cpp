// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/facts.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

using namespace lierne;

TEST_CASE("a fact comes back as it was set, and the last one of a name counts") {
  Facts facts;
  facts.set("a", 1).set("b", -1).set("c", std::numeric_limits<std::uint64_t>::max()).set("d", 0.1F).set("e", "text").set("f", true);
  CHECK(facts.get<std::int64_t>("a") == 1);
  CHECK(facts.get<std::uint64_t>("a") == 1);
  CHECK(facts.get<int>("b") == -1);
  CHECK(facts.get<std::uint64_t>("c") == std::numeric_limits<std::uint64_t>::max());
  CHECK(facts.get<double>("d") == double{0.1F});
  CHECK(facts.get<std::string>("e") == "text");
  CHECK(facts.get<bool>("f"));
  facts.set("a", "now a text");
  CHECK(facts.get<std::string>("a") == "now a text");
  CHECK(facts.values().size() == 6);
  CHECK(facts.contains("b"));
  CHECK_FALSE(facts.contains("g"));
  Facts other = facts;
  CHECK(other == facts);
  CHECK_FALSE(other.set("b", -2) == facts);
}

TEST_CASE("a fact of another kind or size says what was expected and found") {
  Facts facts;
  facts.set("seed", 300).set("negative", -1).set("rate", 0.5).set("rule", "adamw").set("noisy", false);
  facts.set_source("run/manifest.json");
  CHECK_THROWS_WITH_AS(facts.get<int>("sede"), "run/manifest.json: expected a fact 'sede', found none of that name among 5", FileError);
  CHECK_THROWS_WITH_AS(facts.get<std::uint8_t>("seed"), "run/manifest.json: fact 'seed': expected an integer from 0 of 8 bits, found 300", FileError);
  CHECK_THROWS_WITH_AS(facts.get<std::uint64_t>("negative"), doctest::Contains("found -1"), FileError);
  CHECK_THROWS_WITH_AS(facts.get<std::int64_t>("rate"), doctest::Contains("found 0.5"), FileError);
  CHECK_THROWS_WITH_AS(facts.get<double>("rule"), doctest::Contains("expected a number, found the text 'adamw'"), FileError);
  CHECK_THROWS_WITH_AS(facts.get<double>("seed"), doctest::Contains("expected a number, found 300"), FileError);
  CHECK_THROWS_WITH_AS(facts.get<bool>("seed"), doctest::Contains("expected true or false, found 300"), FileError);
  CHECK_THROWS_WITH_AS(facts.get<std::string>("noisy"), doctest::Contains("expected a text, found false"), FileError);
}
