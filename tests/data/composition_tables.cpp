// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/composition_tables.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace lierne::detail;

static_assert(decomposed_runs[0] == 0xc0 && decomposed_parts[0] == 'A' && decomposed_parts[1] == 0x300);

TEST_CASE("the tables hold as many code points as Unicode 16.0 lists") {
  std::uint32_t decomposed = 0, combining = 0, before = 0;
  for (std::size_t run = 0; run < decomposed_runs.size(); run += 2) {
    CHECK(decomposed_runs[run] > before);
    before = decomposed_runs[run] + decomposed_runs[run + 1];
    decomposed += decomposed_runs[run + 1];
  }
  CHECK(decomposed == 2081);  // UnicodeData.txt, field 5 without a tag
  CHECK(decomposed_parts.size() == 2 * 2081);
  for (std::size_t run = 0; run < combining_runs.size(); run += 3) {
    combining += combining_runs[run + 1];
    CHECK((combining_runs[run + 2] > 0 && combining_runs[run + 2] <= 240));
  }
  CHECK(combining == 934);  // UnicodeData.txt, field 3 above 0
  CHECK(std::ranges::is_sorted(composition_excluded));
  CHECK(composition_excluded.size() == 85);  // Full_Composition_Exclusion without singletons
}
