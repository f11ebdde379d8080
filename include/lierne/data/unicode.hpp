// SPDX-License-Identifier: Apache-2.0
// What the pre-tokenizer asks of a code point: letter, number, white space or something else, by Unicode 16.
#pragma once

#include <cstdint>

#include "lierne/data/unicode_tables.hpp"

namespace lierne {

/// The class of a code point. Letter is \p{L}; the two kinds of number are together \p{N}; space is White_Space, as \s.
/// `mark` is what else belongs to a word (\w): \p{M}, \p{Pc}, the joiners, circled letters; for \s, \p{L} and \p{N} it
/// is like `other`.
enum class CodeClass : std::uint8_t { other = 0, letter = 1, number = 2, number_symbol = 3, space = 4, mark = 5 };

/// The class of a code point by Unicode 16; `other` for unassigned ones and beyond U+10FFFF.
/// Source: Unicode Character Database 16.0, General_Category and White_Space.
constexpr CodeClass code_class(char32_t code) {
  using namespace detail;
  if (code >= unicode_end) return code >= 0xe0100 && code <= 0xe01ef ? CodeClass::mark : CodeClass::other;
  std::uint32_t const place = unicode_index[code / unicode_block] * unicode_block + code % unicode_block;
  return static_cast<CodeClass>(unicode_classes[place / 16] >> place % 16 * 4 & 15);
}

constexpr bool is_letter(CodeClass c) { return c == CodeClass::letter; }
constexpr bool is_number(CodeClass c) { return c == CodeClass::number || c == CodeClass::number_symbol; }
constexpr bool is_space(CodeClass c) { return c == CodeClass::space; }
/// [^\s\p{L}\p{N}]
constexpr bool is_other(CodeClass c) { return c == CodeClass::other || c == CodeClass::mark; }
/// \w: Alphabetic, \p{M}, \p{Nd}, \p{Pc}, Join_Control.
constexpr bool is_word(CodeClass c) {
  return c == CodeClass::letter || c == CodeClass::number || c == CodeClass::mark;
}

}  // namespace lierne
