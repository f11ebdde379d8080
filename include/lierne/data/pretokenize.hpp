// SPDX-License-Identifier: Apache-2.0
// The split of a text into pieces before byte-pair merges: two patterns as matchers written by hand.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lierne/core/error.hpp"
#include "lierne/data/unicode.hpp"
#include "lierne/data/utf8.hpp"

namespace lierne {

/// The patterns that are known: no regular-expression engine here has the Unicode tables that decide the ids.
enum class Pattern : std::uint8_t { llama3, gpt2 };

/// Source: tokenizer.json of Llama 3.
inline constexpr std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// Source: encoder.py of GPT-2.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The pattern with this text.
/// Errors: FileError naming `file`, the two known patterns and the one found.
Pattern pattern_of(std::string_view regex, std::string_view file);

/// Bytes of the piece that starts at `at`; at < text.size(), text is valid UTF-8. Every byte belongs to one piece.
/// Numerics: exactly the alternatives of the pattern from left to right, each greedy with backtracking.
std::size_t piece_length(Pattern pattern, std::string_view text, std::size_t at);

/// Calls visit(piece) for each piece of the text in order.
/// Example: `pretokenize(Pattern::llama3, "Hello world", visit)` visits "Hello" and " world".
template <class Visit>
void pretokenize(Pattern pattern, std::string_view text, Visit&& visit) {
  for (std::size_t at = 0; at < text.size();) {
    auto const length = piece_length(pattern, text, at);
    visit(text.substr(at, length));
    at += length;
  }
}

namespace detail {

/// The classes of ASCII by themselves: most of most texts, found with one load.
inline constexpr auto ascii_class = [] {
  std::array<CodeClass, 128> classes{};
  for (std::size_t code = 0; code < 128; ++code) classes[code] = code_class(static_cast<char32_t>(code));
  return classes;
}();

/// A place in the text with the code point there; `length` 0 at the end.
struct Cursor {
  std::string_view text;
  std::size_t at = 0;
  char32_t code = 0;
  std::uint32_t length = 0;
  CodeClass kind = CodeClass::other;

  Cursor(std::string_view whole, std::size_t start) : text{whole}, at{start} { read(); }

  void next() {
    at += length;
    read();
  }
  void read() {
    length = 0;
    if (at >= text.size()) return;
    if (auto const byte = static_cast<unsigned char>(text[at]); byte < 0x80) {
      code = byte;
      length = 1;
      kind = ascii_class[byte];
      return;
    }
    auto const point = code_point(text, at);
    code = point.code;
    length = point.length;
    kind = code_class(code);
  }
  /// Past a run of one class; ASCII in a loop of its own.
  template <bool (*belongs)(CodeClass)>
  std::size_t skip() {
    for (;; at += length) {
      while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80 &&
             belongs(ascii_class[static_cast<unsigned char>(text[at])]))
        ++at;
      read();
      if (done() || !belongs(kind)) return at;
    }
  }
  bool done() const { return length == 0; }
  bool letter() const { return !done() && is_letter(kind); }
  bool number() const { return !done() && is_number(kind); }
  bool space() const { return !done() && is_space(kind); }
  bool other() const { return !done() && is_other(kind); }
  bool newline() const { return !done() && (code == '\r' || code == '\n'); }
};

/// Bytes of an apostrophe and 's 't 're 've 'm 'll 'd at the cursor, 0 where there is none. With `fold` in any case:
/// the long s, U+017F, folds to s; no other code point outside ASCII folds to one of these letters.
inline std::size_t contraction(Cursor c, bool fold) {
  if (c.done() || c.code != '\'') return 0;
  auto const letter = [&] {
    if (c.done()) return U'\0';
    if (fold && c.code >= 'A' && c.code <= 'Z') return static_cast<char32_t>(c.code + 32);
    return fold && c.code == 0x17f ? U's' : c.code;
  };
  auto const start = c.at;
  c.next();
  auto const first = letter();
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return c.at + c.length - start;
  if (first != 'r' && first != 'v' && first != 'l') return 0;
  c.next();
  return letter() == (first == 'l' ? U'l' : U'e') ? c.at + c.length - start : 0;
}

/// The white space at the cursor: \s*[\r\n]+ (when `lines`), \s+(?!\S), \s+.
inline std::size_t spaces(Cursor c, bool lines) {
  auto const start = c.at;
  auto last = c.at, line_end = c.at;
  for (; c.space(); c.next()) {
    last = c.at;
    if (c.newline()) line_end = c.at + c.length;
  }
  if (lines && line_end > start) return line_end - start;
  // Before a visible character the run gives its last one back, unless that is all there is.
  return !c.done() && last > start ? last - start : c.at - start;
}

inline std::size_t llama3_piece(Cursor const start) {
  if (auto const length = contraction(start, true)) return length;
  Cursor c = start;
  if (!c.letter() && !c.number() && !c.newline()) c.next();
  if (c.letter()) return c.skip<is_letter>() - start.at;
  c = start;
  if (c.number()) {
    for (int digits = 0; digits < 3 && c.number(); ++digits) c.next();
    return c.at - start.at;
  }
  if (c.code == ' ') c.next();
  if (c.other()) {
    c.skip<is_other>();
    while (c.newline()) c.next();
    return c.at - start.at;
  }
  return spaces(start, true);
}

inline std::size_t gpt2_piece(Cursor const start) {
  if (auto const length = contraction(start, false)) return length;
  Cursor c = start;
  if (c.code == ' ') c.next();
  if (c.letter()) return c.skip<is_letter>() - start.at;
  if (c.number()) return c.skip<is_number>() - start.at;
  if (c.other()) return c.skip<is_other>() - start.at;
  return spaces(start, false);
}

}  // namespace detail

inline Pattern pattern_of(std::string_view regex, std::string_view file) {
  if (regex == llama3_pattern) return Pattern::llama3;
  check<FileError>(regex == gpt2_pattern, file, ": pre_tokenizer.pattern: expected the pattern of Llama 3, ",
                   llama3_pattern, " or of GPT-2, ", gpt2_pattern, " found ", regex);
  return Pattern::gpt2;
}

inline std::size_t piece_length(Pattern pattern, std::string_view text, std::size_t at) {
  detail::Cursor const start{text, at};
  return pattern == Pattern::llama3 ? detail::llama3_piece(start) : detail::gpt2_piece(start);
}

}  // namespace lierne
