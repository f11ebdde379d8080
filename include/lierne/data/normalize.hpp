// SPDX-License-Identifier: Apache-2.0
// Unicode's normal form C: what looks the same is written the same, composed where it can be.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lierne/data/composition_tables.hpp"
#include "lierne/data/flat_table.hpp"
#include "lierne/data/utf8.hpp"

namespace lierne {

/// Text in normal form C. `text` is valid UTF-8.
///
/// Steps: every code point is decomposed as far as it goes, marks are sorted by combining class, and each is composed
///   with the starter before it where nothing of its class or higher stands between them.
/// Numerics: Unicode 16; text of later code points is left as it is.
/// Source: Unicode Standard Annex 15; Hangul by the Standard, 3.12.
/// Example: `nfc("e\u0301")` is "\u00e9".
std::string nfc(std::string_view text);

namespace detail {

struct Composition {
  struct Parts {
    char32_t first = 0, second = 0;
  };
  FlatTable<Parts> parts{decomposed_parts.size() / 2};
  FlatTable<std::uint8_t> classes{1000};
  FlatTable<char32_t> composed{decomposed_parts.size() / 2};

  static std::uint64_t pair(char32_t first, char32_t second) {
    return spread(static_cast<std::uint64_t>(first) << 32 | static_cast<std::uint64_t>(second));
  }

  Composition() {
    std::size_t at = 0;
    for (std::size_t run = 0; run < decomposed_runs.size(); run += 2)
      for (std::uint32_t i = 0; i < decomposed_runs[run + 1]; ++i, at += 2) {
        char32_t const code = decomposed_runs[run] + i;
        Parts const two{decomposed_parts[at], decomposed_parts[at + 1]};
        parts.insert(spread(std::uint64_t{code}), two);
        if (two.second && !std::ranges::binary_search(composition_excluded, code))
          composed.insert(pair(two.first, two.second), code);
      }
    for (std::size_t run = 0; run < combining_runs.size(); run += 3)
      for (std::uint32_t i = 0; i < combining_runs[run + 1]; ++i)
        classes.insert(spread(std::uint64_t{combining_runs[run] + i}),
                       static_cast<std::uint8_t>(combining_runs[run + 2]));
  }

  static Composition const& tables() {
    static Composition const tables;
    return tables;
  }

  std::uint8_t combining(char32_t code) const {
    auto const* found = code < 0x300 ? nullptr : classes.find(spread(std::uint64_t{code}));
    return found ? *found : 0;
  }

  // Hangul syllables are 19 leading x 21 vowel x 28 trailing consonants (the first of which is none), in this order.
  static constexpr char32_t syllables = 0xac00, leading = 0x1100, vowels = 0x1161, trailing = 0x11a7;
  static constexpr char32_t vowel_count = 21, trailing_count = 28, syllable_count = 19 * vowel_count * trailing_count;

  void decompose(char32_t code, std::u32string& out) const {
    if (code >= syllables && code < syllables + syllable_count) {
      auto const index = code - syllables;
      out.push_back(leading + index / (vowel_count * trailing_count));
      out.push_back(vowels + index / trailing_count % vowel_count);
      if (auto const last = index % trailing_count) out.push_back(trailing + last);
      return;
    }
    auto const* two = code < 0xc0 ? nullptr : parts.find(spread(std::uint64_t{code}));
    if (!two) return out.push_back(code);
    decompose(two->first, out);
    if (two->second) decompose(two->second, out);
  }

  /// What two neighbours make; 0 where they make nothing.
  char32_t compose(char32_t first, char32_t second) const {
    if (first >= leading && first < leading + 19 && second >= vowels && second < vowels + vowel_count)
      return syllables + ((first - leading) * vowel_count + (second - vowels)) * trailing_count;
    if (first >= syllables && first < syllables + syllable_count && (first - syllables) % trailing_count == 0 &&
        second > trailing && second < trailing + trailing_count)
      return first + (second - trailing);
    auto const* found = composed.find(pair(first, second));
    return found ? *found : 0;
  }
};

}  // namespace detail

inline std::string nfc(std::string_view text) {
  // No code point below U+0300, which starts with the byte 0xCC, combines with anything or decomposes for good.
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0xcc; })) return std::string{text};
  auto const& tables = detail::Composition::tables();
  std::u32string codes;
  for (std::size_t at = 0; at < text.size();) {
    auto const point = code_point(text, at);
    tables.decompose(point.code, codes);
    at += point.length;
  }
  for (auto at = codes.begin(); at != codes.end();) {
    auto const starter = [&](char32_t code) { return tables.combining(code) == 0; };
    auto const first = std::find_if_not(at, codes.end(), starter);
    at = std::find_if(first, codes.end(), starter);
    std::stable_sort(first, at, [&](char32_t a, char32_t b) { return tables.combining(a) < tables.combining(b); });
  }
  std::size_t kept = 0, starter = codes.size();
  int last = -1;  // the class of what stands between the starter and here: -1 for nothing
  for (auto const code : codes) {
    int const own = tables.combining(code);
    if (starter < codes.size() && last < own)
      if (auto const composed = tables.compose(codes[starter], code)) {
        codes[starter] = composed;
        continue;
      }
    if (own == 0) starter = kept;
    last = own == 0 ? -1 : own;
    codes[kept++] = code;
  }
  std::string out;
  for (std::size_t i = 0; i < kept; ++i) append_code_point(out, codes[i]);
  return out;
}

}  // namespace lierne
