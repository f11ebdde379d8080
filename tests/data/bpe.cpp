// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/bpe.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sample.hpp"

using namespace lierne;

namespace {

using Ids = std::vector<TokenId>;

/// Random merges over a few letters, so that nearly every neighbour has one and they overlap in many ways.
struct Sample {
  std::vector<Bpe::Merge> merges;
  std::map<std::pair<std::string, std::string>, std::size_t> ranks;
  std::map<std::string, TokenId> ids;

  Sample(std::uint64_t seed, std::size_t count) {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
    std::vector<TokenId> usable{'a', 'b', 'c', 'd'};
    std::set<std::string> seen;
    for (std::uint64_t i = 0; merges.size() < count; i += 2) {
      auto const left = usable[Random{seed, 3}.below(i, usable.size())], right = usable[Random{seed, 3}.below(i + 1, usable.size())];
      auto const joined = tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)];
      if (joined.size() > 12 || !seen.insert(joined).second) continue;
      ranks[{tokens[static_cast<std::size_t>(left)], tokens[static_cast<std::size_t>(right)]}] = merges.size();
      merges.push_back({left, right});
      usable.push_back(static_cast<TokenId>(tokens.size()));
      tokens.push_back(joined);
    }
    for (std::size_t id = 0; id < tokens.size(); ++id) ids[tokens[id]] = static_cast<TokenId>(id);
  }

  /// The definition: search all neighbours for the lowest rank, the leftmost first, join, and begin again.
  Ids encode(std::string const& piece) const {
    std::vector<std::string> parts;
    for (char c : piece) parts.emplace_back(1, c);
    for (;;) {
      std::size_t best = parts.size(), lowest = ranks.size();
      for (std::size_t i = 0; i + 1 < parts.size(); ++i)
        if (auto const rank = ranks.find({parts[i], parts[i + 1]}); rank != ranks.end() && rank->second < lowest)
          best = i, lowest = rank->second;
      if (best == parts.size()) break;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids result;
    for (auto const& part : parts) result.push_back(ids.at(part));
    return result;
  }
};

std::string word(std::size_t length, std::uint64_t seed) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text.push_back("abcde"[Random{seed, 1}.below(i, 5)]);
  return text;
}

}  // namespace

TEST_CASE("scan, queue and cache give the ids of the definition") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sample const sample{seed, 40};
    auto const bpe = sample::bytes(sample.merges);
    PieceCache cache;
    for (std::uint64_t i = 0; i < 60; ++i) {
      auto const piece = word(1 + i * i % 150, 100 * seed + i);
      auto const expected = sample.encode(piece);
      Ids scan, queue, cached, again;
      bpe.merge_by_scan(piece, scan);
      bpe.merge_by_queue(piece, queue);
      bpe.encode(piece, cached, cache);
      bpe.encode(piece, again, cache);
      REQUIRE(scan == expected);
      REQUIRE(queue == expected);
      REQUIRE(cached == expected);
      REQUIRE(again == expected);
    }
  }
}

TEST_CASE("ids give their bytes back") {
  Sample const sample{5, 60};
  auto const bpe = sample::bytes(sample.merges);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto const piece = sample::heap(seed + 1, seed);
    Ids ids;
    bpe.encode(piece, ids);
    std::string back;
    for (auto id : ids) back += bpe.bytes(id);
    CHECK(back == piece);
  }
}

TEST_CASE("whole pieces of the vocabulary need no merge that leads to them") {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.emplace_back("whole");
  Bpe const whole{tokens, {}, true}, merged{tokens, {}, false};
  Ids ids;
  whole.encode("whole", ids);
  CHECK(ids == Ids{256});
  ids.clear();
  merged.encode("whole", ids);
  CHECK(ids == Ids{'w', 'h', 'o', 'l', 'e'});
  CHECK(whole.find("whole") == 256);
  CHECK(whole.find("part") == -1);
}

TEST_CASE("a run of a million equal bytes takes a moment") {
  auto const bpe = sample::bytes({{'a', 'a'}, {256, 256}, {257, 257}, {258, 258}});
  Ids ids;
  bpe.encode(std::string(1000000, 'a'), ids);
  CHECK(ids == Ids(1000000 / 16, 259));
}

TEST_CASE("a cache stays within its bounds") {
  PieceCache cache;
  Ids ids{1}, out;
  std::string const piece(PieceCache::longest + 1, 'x');
  cache.add(spread(piece), piece, ids);
  CHECK_FALSE(cache.find(spread(piece), piece, out));
  cache.add(spread("ab"), "ab", ids);
  CHECK(cache.find(spread("ab"), "ab", out));
  CHECK_FALSE(cache.find(spread("ab"), "ac", out));  // equal hash, other piece
  CHECK(out == ids);
}

TEST_CASE("a vocabulary that cannot encode every text is refused") {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 255; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  CHECK_THROWS_WITH_AS((Bpe{tokens, {}, false}), "vocabulary: expected an id for every byte, found none for 255", ArgumentError);
  tokens.emplace_back(1, '\xff');
  tokens.emplace_back("a");
  CHECK_THROWS_WITH_AS((Bpe{tokens, {}, false}), "vocabulary: expected one id for each token, found equal bytes at 97 and 256",
                       ArgumentError);
  tokens.pop_back();
  std::vector<Bpe::Merge> const merges{{'a', 'b'}};
  CHECK_THROWS_WITH_AS((Bpe{tokens, merges, false}),
                       "merges: 0: expected the two sides joined in the vocabulary, found no id for ab", ArgumentError);
  Bpe const bpe{tokens, {}, false};
  CHECK_THROWS_WITH_AS(bpe.bytes(256), "token id: expected 0 to 255, found 256", ArgumentError);
  CHECK_THROWS_WITH_AS(bpe.bytes(-1), "token id: expected 0 to 255, found -1", ArgumentError);
}
