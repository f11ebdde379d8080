// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/pretokenize.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "sample.hpp"

using namespace lierne;

namespace {

using Pieces = std::vector<std::string>;

Pieces split(Pattern pattern, std::string_view text) {
  Pieces pieces;
  pretokenize(pattern, text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

// The reference: a backtracking engine for patterns written as data, over code points.

using Class = std::function<bool(char32_t)>;
struct Part {
  Class matches;
  std::size_t least, most;
  bool not_before = false;  // (?!...): what follows must not match
};
using Alternative = std::vector<Part>;
constexpr auto many = std::numeric_limits<std::size_t>::max();

std::size_t match(Alternative const& parts, std::size_t part, std::u32string const& text, std::size_t at) {
  if (part == parts.size()) return at;
  auto const& [matches, least, most, not_before] = parts[part];
  if (not_before) return at < text.size() && matches(text[at]) ? std::string::npos : match(parts, part + 1, text, at);
  std::size_t count = 0;
  while (count < most && at + count < text.size() && matches(text[at + count])) ++count;
  for (;; --count) {
    if (count < least) return std::string::npos;
    if (auto const end = match(parts, part + 1, text, at + count); end != std::string::npos) return end;
    if (count == 0) return std::string::npos;
  }
}

Alternative literal(std::u32string const& word, bool fold) {
  Alternative parts;
  for (char32_t wanted : word)
    parts.push_back({[=](char32_t c) {
                       bool const upper = fold && wanted >= 'a' && wanted <= 'z' && c == wanted - 32;
                       return c == wanted || upper || (fold && wanted == 's' && c == 0x17f);
                     },
                     1, 1});
  return parts;
}

std::vector<Alternative> alternatives(Pattern pattern) {
  Class const l = [](char32_t c) { return is_letter(code_class(c)); };
  Class const n = [](char32_t c) { return is_number(code_class(c)); };
  Class const s = [](char32_t c) { return is_space(code_class(c)); };
  Class const visible = [](char32_t c) { return !is_space(code_class(c)); };
  Class const line = [](char32_t c) { return c == '\r' || c == '\n'; };
  Class const blank = [](char32_t c) { return c == ' '; };
  Class const other = [=](char32_t c) { return !s(c) && !l(c) && !n(c); };
  Class const lead = [=](char32_t c) { return !line(c) && !l(c) && !n(c); };
  std::vector<Alternative> all;
  for (auto const* word : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) all.push_back(literal(word, pattern == Pattern::llama3));
  if (pattern == Pattern::llama3) {
    all.push_back({{lead, 0, 1}, {l, 1, many}});
    all.push_back({{n, 1, 3}});
    all.push_back({{blank, 0, 1}, {other, 1, many}, {line, 0, many}});
    all.push_back({{s, 0, many}, {line, 1, many}});
  } else {
    all.push_back({{blank, 0, 1}, {l, 1, many}});
    all.push_back({{blank, 0, 1}, {n, 1, many}});
    all.push_back({{blank, 0, 1}, {other, 1, many}});
  }
  all.push_back({{s, 1, many}, {visible, 0, 0, true}});
  all.push_back({{s, 1, many}});
  return all;
}

Pieces reference(Pattern pattern, std::string_view bytes) {
  std::u32string text;
  for (std::size_t at = 0; at < bytes.size(); at += code_point(bytes, at).length) text.push_back(code_point(bytes, at).code);
  auto const all = alternatives(pattern);
  Pieces pieces;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::string::npos;
    for (auto const& alternative : all)
      if ((end = match(alternative, 0, text, at)) != std::string::npos) break;
    REQUIRE(end != std::string::npos);
    REQUIRE(end > at);
    pieces.emplace_back();
    for (; at < end; ++at) append_code_point(pieces.back(), text[at]);
  }
  return pieces;
}

}  // namespace

TEST_CASE("the matchers are the patterns, by a backtracking engine") {
  static constexpr std::string_view parts[] = {"a", "R", "l", "e", "S", "'", "\u017f", " ", " ", "\n", "\r", "\t", "1", "٣", "½", "!", ".", "\u00a0",
                                               "é", "\u0301", "中", "🙂", "s", "t", "v", "m", "d", "\u200b", "\u3000"};
  for (auto pattern : {Pattern::llama3, Pattern::gpt2})
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
      std::string text;
      for (std::uint64_t i = 0; i < seed % 14; ++i) text += parts[Random{seed, 5}.below(i, std::size(parts))];
      CAPTURE(text);
      REQUIRE(split(pattern, text) == reference(pattern, text));
    }
}

TEST_CASE("pieces laid end to end are the text") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto const text = replace_invalid(sample::heap(200, seed));
    for (auto pattern : {Pattern::llama3, Pattern::gpt2}) {
      std::string joined;
      for (auto const& piece : split(pattern, text)) joined += piece;
      REQUIRE(joined == text);
    }
  }
}

TEST_CASE("the details that decide ids") {
  CHECK(split(Pattern::llama3, "it'ſx") == Pieces{"it", "'ſ", "x"});
  CHECK(split(Pattern::llama3, "IT'S we'LL") == Pieces{"IT", "'S", " we", "'LL"});
  CHECK(split(Pattern::gpt2, "IT'S") == Pieces{"IT", "'", "S"});
  CHECK(split(Pattern::llama3, "1234567") == Pieces{"123", "456", "7"});
  CHECK(split(Pattern::gpt2, " 1234567") == Pieces{" 1234567"});
  CHECK(split(Pattern::llama3, "    word") == Pieces{"   ", " word"});
  CHECK(split(Pattern::llama3, "a  \n\n  b") == Pieces{"a", "  \n\n", " ", " b"});
  CHECK(split(Pattern::llama3, "!!\n\nx") == Pieces{"!!\n\n", "x"});
  CHECK(split(Pattern::llama3, "e\u0301") == Pieces{"e", "\u0301"});
  CHECK(split(Pattern::llama3, "'") == Pieces{"'"});
  CHECK(split(Pattern::llama3, "'l") == Pieces{"'l"});
  CHECK(split(Pattern::llama3, "x  ") == Pieces{"x", "  "});
  CHECK(split(Pattern::llama3, "").empty());
}

TEST_CASE("a pattern that is not known names the two that are") {
  CHECK(pattern_of(llama3_pattern, "f") == Pattern::llama3);
  CHECK(pattern_of(gpt2_pattern, "f") == Pattern::gpt2);
  try {
    pattern_of("\\w+", "some.json");
    FAIL("no error");
  } catch (FileError const& error) {
    std::string const what = error.what();
    CHECK(what.starts_with("some.json: pre_tokenizer.pattern: expected the pattern of Llama 3, "));
    CHECK(what.find(llama3_pattern) != what.npos);
    CHECK(what.find(gpt2_pattern) != what.npos);
    CHECK(what.ends_with(" found \\w+"));
  }
}
