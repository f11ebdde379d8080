// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/pack.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "sample.hpp"

using namespace lierne;

static_assert(WindowSource<Packed> && DataStage<PackStage> && !WindowSource<Text>);

namespace {

using Ids = std::vector<TokenId>;

Text sample_text(std::size_t letters, double validation = 0) {
  std::vector<std::string> const documents{sample::letters(letters, 3), sample::letters(7, 4)};
  return {sample::byte_tokenizer(), documents, {.validation = validation}};
}

template <class Source>
Ids window(Source& source, std::int64_t index) {
  Ids out(static_cast<std::size_t>(source.length()) + 1, -7);
  source.read(0, index, out);
  return out;
}

Ids held(Packed const& packed, std::int64_t index) {
  Ids out(static_cast<std::size_t>(packed.length()) + 1, -7);
  packed.held_out().read(index, out);
  return out;
}

}  // namespace

TEST_CASE("windows are cut as a loop over the tokens cuts them") {
  for (std::int64_t length : {1, 2, 3, 8, 50})
    for (std::size_t letters : {40U, 49U, 50U, 95U, 96U, 97U})
      for (bool disjoint : {false, true}) {
        auto const text = sample_text(letters);
        auto packed = text | pack(length, {.disjoint = disjoint});
        std::vector<Ids> expected;
        auto const tokens = text.train();
        auto const stride = static_cast<std::size_t>(length + disjoint);
        for (std::size_t at = 0; at + static_cast<std::size_t>(length) + 1 <= tokens.size(); at += stride)
          expected.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                                tokens.begin() + static_cast<std::ptrdiff_t>(at) + length + 1);
        REQUIRE(packed.size() == static_cast<std::int64_t>(expected.size()));
        for (std::int64_t i = 0; i < packed.size(); ++i) REQUIRE(window(packed, i) == expected[static_cast<std::size_t>(i)]);
      }
}

TEST_CASE("every token but the first is a label exactly once") {
  for (std::int64_t length : {1, 3, 10, 150}) {
    auto const packed = sample_text(300, 0.4) | pack(length);
    Ids labels;
    for (std::int64_t i = 0; i < packed.held_out().size(); ++i) {
      auto const tokens = held(packed, i);
      std::int64_t valid = 0;
      for (std::size_t t = 1; t < tokens.size(); ++t)
        if (tokens[t] != ignored) labels.push_back(tokens[t]), ++valid;
      REQUIRE(packed.held_out().valid(i) == valid);
    }
    auto const all = packed.text().validation();
    CHECK(labels == Ids(all.begin() + 1, all.end()));
  }
}

TEST_CASE("the last held-out window is padded, and nothing held out is no window") {
  auto const packed = sample_text(100, 0.05) | pack(20);  // held out: begin, 5 letters, end, begin, end of the second
  auto const tokens = held(packed, 0);
  CHECK(tokens.front() == 256);
  CHECK(tokens.back() == ignored);
  CHECK((sample_text(100) | pack(20)).held_out().size() == 0);
}

TEST_CASE("windows outlive the text that they were cut from") {
  auto packed = [] { return sample_text(64) | pack(8); }();
  auto copy = packed;
  CHECK(window(copy, 0) == window(packed, 0));
  CHECK(window(copy, 0).front() == 256);
}

TEST_CASE("the fingerprint follows length and cut") {
  auto const text = sample_text(64);
  CHECK((text | pack(8)).fingerprint() == (text | pack(8)).fingerprint());
  CHECK((text | pack(8)).fingerprint() != (text | pack(9)).fingerprint());
  CHECK((text | pack(8)).fingerprint() != (text | pack(8, {.disjoint = true})).fingerprint());
}

TEST_CASE("a window that is larger than the text names both sizes") {
  auto const text = sample_text(50);  // 50 and 7 letters, twice begin and end
  CHECK((text | pack(60)).size() == 1);
  CHECK_THROWS_WITH_AS(text | pack(61),
                       "pack: expected at least 62 tokens, one window of length 61 and its labels, found 61 (shorten the window or add text)",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(pack(0), "pack: length: expected at least 1 token, found 0", ArgumentError);
}
