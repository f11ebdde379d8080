// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/added_tokens.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sample.hpp"

using namespace lierne;

namespace {

/// The text with every token as its id in angle brackets.
std::string cut(std::vector<AddedToken> tokens, std::string_view text) {
  std::string out;
  AddedTokens{std::move(tokens)}.split(
      text, [&](std::string_view part) { out += part.empty() ? "EMPTY" : "(" + std::string{part} + ")"; },
      [&](TokenId id) { out += std::to_string(id); });
  return out;
}

}  // namespace

TEST_CASE("leftmost first, longest among equals, by a naive search") {
  std::vector<AddedToken> const tokens{{0, "a"}, {1, "ab"}, {2, "abab"}, {3, "ba"}, {4, "b c"}, {5, "\xc3\xa9"}, {6, ""}};
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    std::string text;
    for (std::uint64_t i = 0; i < seed % 12; ++i) text += std::vector<std::string>{"a", "b", " ", "c", "\xc3\xa9"}[Random{seed, 1}.below(i, 5)];
    std::string expected, plain;
    for (std::size_t at = 0; at < text.size();) {
      AddedToken const* best = nullptr;
      for (auto const& token : tokens)
        if (!token.content.empty() && text.compare(at, token.content.size(), token.content) == 0 &&
            (!best || token.content.size() > best->content.size()))
          best = &token;
      if (!best) {
        plain.push_back(text[at++]);
        continue;
      }
      if (!plain.empty()) expected += "(" + plain + ")";
      plain.clear();
      expected += std::to_string(best->id);
      at += best->content.size();
    }
    if (!plain.empty()) expected += "(" + plain + ")";
    CAPTURE(text);
    REQUIRE(cut(tokens, text) == expected);
  }
}

TEST_CASE("white space goes with the token on the sides that say so") {
  CHECK(cut({{1, "<m>", false, true, false}}, "a \n\xc2\xa0<m> b") == "(a)1( b)");
  CHECK(cut({{1, "<m>", false, false, true}}, "a <m> \n\xe3\x80\x80" "b") == "(a )1(b)");
  CHECK(cut({{1, "<m>", false, true, true}}, "  <m>  <m>  ") == "11");
  CHECK(cut({{1, "<m>", false, true, false}, {2, "x", false, false, true}}, "x  <m>") == "21");
}

TEST_CASE("a single word has no word character beside it") {
  std::vector<AddedToken> const tokens{{1, "cat", true}};
  CHECK(cut(tokens, "cat cats, concat \xc3\xa9" "cat cat\xcc\x81 cat!") == "1( cats, concat \xc3\xa9" "cat cat\xcc\x81 )1(!)");
  CHECK(cut(tokens, "cat_ 7cat -cat-") == "(cat_ 7cat -)1(-)");
}

TEST_CASE("no tokens and no text") {
  CHECK(cut({}, "text") == "(text)");
  CHECK(cut({{1, "x"}}, "").empty());
  CHECK(cut({{1, "x"}}, "x") == "1");
  CHECK(cut({{1, "xy"}}, "x") == "(x)");
}
