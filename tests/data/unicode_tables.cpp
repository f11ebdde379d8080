// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/unicode_tables.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace lierne::detail;

static_assert(unicode_index.size() * unicode_block == unicode_end);
static_assert(unicode_classes.size() * 16 % unicode_block == 0);

TEST_CASE("the tables hold the number of code points that Unicode 16.0 has in each class") {
  std::array<int, 16> found{};
  for (std::uint32_t block : unicode_index) {
    REQUIRE(block * unicode_block / 16 < unicode_classes.size());
    for (std::uint32_t word = 0; word < unicode_block / 16; ++word)
      for (int nibble = 0; nibble < 16; ++nibble)
        ++found[unicode_classes[block * unicode_block / 16 + word] >> 4 * nibble & 15];
  }
  // DerivedGeneralCategory.txt: L, Nd + Nl, No. PropList.txt: White_Space.
  CHECK(found[1] == 141028);
  CHECK(found[2] == 760 + 236);
  CHECK(found[3] == 915);
  CHECK(found[4] == 25);
  for (std::size_t other = 6; other < 16; ++other) CHECK(found[other] == 0);
}
