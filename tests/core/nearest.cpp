// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/nearest.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

/// The definition, without a table.
std::size_t by_definition(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  auto const a1 = a.substr(1), b1 = b.substr(1);
  auto least = std::min({by_definition(a1, b) + 1, by_definition(a, b1) + 1, by_definition(a1, b1) + (a[0] != b[0])});
  if (a1.size() > 0 && b1.size() > 0 && a[0] == b1[0] && a1[0] == b[0]) {
    least = std::min(least, by_definition(a1.substr(1), b1.substr(1)) + 1);
  }
  return least;
}

}  // namespace

TEST_CASE("the distance is that of the definition, the same both ways") {
  std::vector<std::string> const words{"", "a", "ab", "ba", "abc", "acb", "bca", "steps", "step", "stpes", "seed", "ca", "abab"};
  for (auto const& a : words) {
    for (auto const& b : words) {
      CAPTURE(a);
      CAPTURE(b);
      CHECK(edit_distance(a, b) == by_definition(a, b));
      CHECK(edit_distance(a, b) == edit_distance(b, a));
      CHECK((edit_distance(a, b) == 0) == (a == b));
    }
  }
}

TEST_CASE("the nearest name is the one with fewest edits, the first among equals") {
  std::vector<std::string> const known{"seed", "steps", "sample", "data_seed"};
  CHECK(nearest("step", known) == "steps");
  CHECK(nearest("stpes", known) == "steps");
  CHECK(nearest("dataseed", known) == "data_seed");
  CHECK(nearest("x", std::vector<std::string>{"a", "b"}) == "a");
  CHECK(did_you_mean("step", known) == " (did you mean 'steps'?)");
}

TEST_CASE("where nothing is known nothing is meant") {
  CHECK(nearest("step", {}).empty());
  CHECK(did_you_mean("step", {}).empty());
}
