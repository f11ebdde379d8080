// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/load_report.hpp"

#include <doctest/doctest.h>

using lierne::LoadReport;

TEST_CASE("a report is complete where nothing is missing and nothing is left over") {
  CHECK(LoadReport{}.complete());
  CHECK(LoadReport{.kept = {"a"}}.complete());
  CHECK_FALSE(LoadReport{.kept = {"a"}, .missing = {"b"}}.complete());
  CHECK_FALSE(LoadReport{.extra = {"c"}}.complete());
}

TEST_CASE("a report names what did not fit, eight of each kind") {
  CHECK(LoadReport{.kept = {"a", "b"}, .missing = {"norm.weight"}}.str() == "kept 2, missing 1 (norm.weight), extra 0");
  LoadReport many;
  for (char c = 'a'; c <= 'k'; ++c) many.extra.emplace_back(1, c);
  CHECK(many.str() == "kept 0, missing 0, extra 11 (a, b, c, d, e, f, g, h and 3 more)");
}
