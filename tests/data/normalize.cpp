// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/normalize.hpp"

#include <doctest/doctest.h>

#include <string>

#include "lierne/core/hash.hpp"
#include "sample.hpp"

using namespace lierne;

TEST_CASE("every code point between marks is composed as Python's unicodedata does at Unicode 16") {
  // FNV-1a over the normal forms, from unicodedata2 16.0.0:
  // for c in range(1, 0x110000), no surrogate: normalize("NFC", "a" + chr(c) + "\u0323" + chr(c) + "\u0301")
  std::uint64_t h = hash_start;
  for (char32_t code = 1; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text = "a";
    append_code_point(text, code);
    append_code_point(text, 0x323);
    append_code_point(text, code);
    append_code_point(text, 0x301);
    h = hash(nfc(text), h);
  }
  CHECK(h == 0x7194f535a324a391U);
}

TEST_CASE("a normal form is its own normal form") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    auto const once = nfc(replace_invalid(sample::heap(60, seed)));
    REQUIRE(valid_utf8(once) == once.size());
    REQUIRE(nfc(once) == once);
  }
}

TEST_CASE("letters, marks, Hangul and what must stay apart") {
  CHECK(nfc("") == "");
  CHECK(nfc("plain") == "plain");
  CHECK(nfc("e\u0301") == "\u00e9");
  CHECK(nfc("\u212b") == "\u00c5");                           // one sign for another
  CHECK(nfc("o\u0302\u0323") == "\u1ed9");                    // marks are sorted first
  CHECK(nfc("o\u0327\u0301") == "\u00f3\u0327");              // past a mark of another class
  CHECK(nfc("a\u0305\u0301") == "a\u0305\u0301");             // not past one of the same class
  CHECK(nfc("\u1112\u1161\u11ab") == "\ud55c");               // three letters to one syllable
  CHECK(nfc("\ud558\u11ab") == "\ud55c");
  CHECK(nfc("\ud55c\u11ab") == "\ud55c\u11ab");               // a syllable that is full
  CHECK(nfc("\u0958") == "\u0915\u093c");                     // excluded from composition
  CHECK(nfc("\u0301e") == "\u0301e");                         // a mark with nothing before it
}
