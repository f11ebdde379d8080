// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/unicode.hpp"

#include <doctest/doctest.h>

#include <iterator>

using namespace lierne;

static_assert(is_letter(code_class(U'a')) && is_letter(code_class(U'é')) && is_letter(code_class(U'中')));
static_assert(is_letter(code_class(U'ª')) && is_letter(code_class(U'ʰ')) && is_letter(code_class(U'ǅ')));
static_assert(is_number(code_class(U'7')) && is_number(code_class(U'½')) && is_number(code_class(U'Ⅷ')));
static_assert(is_number(code_class(U'①')) && is_number(code_class(U'٣')) && is_number(code_class(U'𝟘')));
static_assert(is_other(code_class(U'!')) && is_other(code_class(U'\0')) && is_other(code_class(U'🙂')));
static_assert(is_other(code_class(U'\u0301')) && is_other(code_class(U'\u200d')) && is_other(code_class(U'\ufe0f')));

TEST_CASE("white space is White_Space and nothing else") {
  int spaces = 0;
  for (char32_t code = 0; code < 0x110000; ++code) spaces += is_space(code_class(code));
  CHECK(spaces == 25);
  for (char32_t code : {U'\t', U'\n', U'\v', U'\f', U'\r', U' ', U'\u0085', U'\u00a0', U'\u1680', U'\u2000', U'\u200a', U'\u2028',
                        U'\u2029', U'\u202f', U'\u205f', U'\u3000'})
    CHECK(is_space(code_class(code)));
  for (char32_t code : {U'\u001c', U'\u001f', U'\u180e', U'\u200b', U'\u2060', U'\ufeff'}) CHECK_FALSE(is_space(code_class(code)));
}

TEST_CASE("a code point is letter, number, space or other, and one of them only") {
  for (char32_t code = 0; code < 0x110000; ++code) {
    auto const c = code_class(code);
    REQUIRE(is_letter(c) + is_number(c) + is_space(c) + is_other(c) == 1);
    if (code >= 0xd800 && code < 0xe000) REQUIRE(c == CodeClass::other);  // surrogates are no characters
  }
}

TEST_CASE("word characters are letters, marks, digits, connectors, joiners and circled letters") {
  for (char32_t code : {U'a', U'_', U'\u203f', U'7', U'٣', U'Ⅷ', U'\u0301', U'\u200c', U'\u200d', U'Ⓐ', U'🄰', U'\U000e0100', U'\U000e01ef'})
    CHECK(is_word(code_class(code)));
  for (char32_t code : {U'½', U'①', U'-', U'\'', U' ', U'🙂', U'\u200b', U'\U000e00ff', U'\U000e01f0'})
    CHECK_FALSE(is_word(code_class(code)));
}

TEST_CASE("characters that came with Unicode 15 and 16 are known, later and impossible ones are other") {
  CHECK(code_class(0x1c89) == CodeClass::letter);    // 16.0: Cyrillic Tje
  CHECK(code_class(0x10d40) == CodeClass::number);   // 16.0: Garay digit zero
  CHECK(code_class(0x31350) == CodeClass::letter);   // 15.0: CJK extension H
  CHECK(code_class(0x2ebf0) == CodeClass::letter);   // 15.1: CJK extension I
  CHECK(code_class(0x110000) == CodeClass::other);
  CHECK(code_class(0xffffffff) == CodeClass::other);
}
