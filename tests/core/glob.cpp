// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/glob.hpp"

#include <doctest/doctest.h>

#include <string>

using lierne::matches_glob;

static_assert(matches_glob("layers.*.wq.weight", "layers.11.attention.wq.weight"));
static_assert(!matches_glob("norm.weight", "layers.0.norm.weight"));

namespace {

/// The definition, read aloud: a star takes nothing, or one character and stays.
bool naive(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') return naive(pattern.substr(1), text) || (!text.empty() && naive(pattern, text.substr(1)));
  return !text.empty() && text[0] == pattern[0] && naive(pattern.substr(1), text.substr(1));
}

std::string word(int index, std::string_view letters, int length) {
  std::string text;
  for (int i = 0; i < length; ++i, index /= static_cast<int>(letters.size())) {
    text += letters[static_cast<std::size_t>(index) % letters.size()];
  }
  return text;
}

}  // namespace

TEST_CASE("every pattern up to five characters matches what its definition matches") {
  int matched = 0;
  for (int pattern_length = 0, patterns = 1; pattern_length <= 5; ++pattern_length, patterns *= 3) {
    for (int i = 0; i < patterns; ++i) {
      auto const pattern = word(i, "ab*", pattern_length);
      for (int text_length = 0, texts = 1; text_length <= 5; ++text_length, texts *= 2) {
        for (int j = 0; j < texts; ++j) {
          auto const text = word(j, "ab", text_length);
          if (matches_glob(pattern, text) != naive(pattern, text)) FAIL(pattern, " on ", text);
          matched += matches_glob(pattern, text);
        }
      }
    }
  }
  CHECK(matched > 1000);
}

TEST_CASE("many stars take no longer than the text times the pattern") {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  CHECK_FALSE(matches_glob(pattern + "*b", std::string(2000, 'a')));
  CHECK(matches_glob(pattern + "*", std::string(2000, 'a')));
}

TEST_CASE("a star in the text is a character") {
  CHECK(matches_glob("*", "*"));
  CHECK(matches_glob("a*", "a*b"));
  CHECK_FALSE(matches_glob("a", "*"));
}
