// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/crc32c.hpp"

#include <doctest/doctest.h>

#include <string>

using lierne::crc32c;

static_assert(crc32c("123456789") == 0xe3069283);

TEST_CASE("the vectors of RFC 3720 come out") {
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i), falling += static_cast<char>(31 - i);
  CHECK(crc32c(rising) == 0x46dd794e);
  CHECK(crc32c(falling) == 0x113fdb5c);
}

TEST_CASE("every single bit that flips is seen") {
  std::string const text = "a record";
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    auto other = text;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
    CHECK(crc32c(other) != crc32c(text));
  }
}

TEST_CASE("nothing has the checksum 0") { CHECK(crc32c("") == 0); }
