// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/choice.hpp"

#include <doctest/doctest.h>

#include "lierne/core/error.hpp"
#include "lierne/train/options.hpp"

using namespace lierne;

namespace {

Choice make(std::vector<Choice::Entry> entries) {
  return {"preset", &Options::preset, "presets", "model to train", std::move(entries)};
}

}  // namespace

TEST_CASE("a name is found, and none is the first") {
  auto const choice = make({{"small", "12 parameters"}, {"large", "99 parameters"}});
  CHECK(choice.find("large") == 1);
  CHECK(choice.find("small") == 0);
  CHECK(choice.find("") == 0);
  CHECK(choice.default_name() == "small");
  CHECK(choice.refusal("large").empty());
}

TEST_CASE("the help has every name with its meaning, a line each") {
  CHECK(make({{"small", "12 parameters"}, {"large", "99 parameters"}}).help() ==
        "model to train, one of\n  small: 12 parameters\n  large: 99 parameters");
  CHECK(make({{"small", "12 parameters"}}).help() == "model to train:\n  small: 12 parameters");
}

TEST_CASE("an unknown name is refused with all names and the nearest") {
  CHECK_THROWS_WITH_AS(make({{"small", ""}, {"large", ""}}).find("lareg"),
                       "options: preset: expected one of small, large, found 'lareg' (did you mean 'large'?)", ArgumentError);
  CHECK_THROWS_WITH_AS(make({{"small", ""}}).find("Small"),
                       "options: preset: expected small, found 'Small' (did you mean 'small'?)", ArgumentError);
}

TEST_CASE("no entry, an empty name and a name twice are refused") {
  CHECK_THROWS_WITH_AS(make({}), "presets: expected at least one entry, found none", ArgumentError);
  CHECK_THROWS_WITH_AS(make({{"", "12 parameters"}}), doctest::Contains("found an empty one (12 parameters)"), ArgumentError);
  CHECK_THROWS_WITH_AS(make({{"a", ""}, {"b", ""}, {"a", ""}}), "presets: two entries are named 'a' (give each a name of its own)",
                       ArgumentError);
}
