// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/checksum.hpp"

#include <doctest/doctest.h>

using lierne::Checksum;

TEST_CASE("digits are those of xxhsum -H2") {
  CHECK(Checksum::of("") == "99aa06d3014798d86001c324468d497f");
  CHECK(Checksum::of("abc") == "06b05ab6733a618578af5f94892f3950");
}

TEST_CASE("pieces make the sum of the whole, wherever they are cut") {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i * 37 >> 3);
  auto const whole = Checksum::of(text);
  for (std::size_t cut = 0; cut <= text.size(); cut += 61) {
    Checksum sum;
    sum.add(text.substr(0, cut));
    sum.add({});
    sum.add(text.substr(cut));
    CHECK(sum.digits() == whole);
    CHECK(sum.digits() == whole);  // asking changes nothing
  }
}

TEST_CASE("every flipped bit changes it") {
  std::string text(300, 'x');
  auto const whole = Checksum::of(text);
  for (std::size_t i = 0; i < 8 * text.size(); ++i) {
    text[i / 8] = static_cast<char>(text[i / 8] ^ 1 << i % 8);
    CHECK(Checksum::of(text) != whole);
    text[i / 8] = static_cast<char>(text[i / 8] ^ 1 << i % 8);
  }
}
