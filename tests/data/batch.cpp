// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/batch.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <ranges>
#include <string>
#include <vector>

#include "lierne/data/data.hpp"
#include "sample.hpp"

using namespace lierne;

static_assert(std::ranges::input_range<Batched<Packed>>);
static_assert(DataStage<BatchStage>);

namespace {

Text sample_text(std::size_t letters = 203, double validation = 0.2) {
  std::vector<std::string> const documents{sample::letters(letters, 1), sample::letters(50, 2)};
  return {sample::byte_tokenizer(), documents, {.validation = validation}};
}

using Rows = std::vector<std::vector<std::int64_t>>;

Rows rows(Tensor const& tensor) {
  Rows all;
  for (std::int64_t r = 0; r < tensor.size(0); ++r)
    all.emplace_back(tensor[r].const_data_ptr<std::int64_t>(), tensor[r].const_data_ptr<std::int64_t>() + tensor.size(1));
  return all;
}

void append(Rows& to, Rows const& more) { to.insert(to.end(), more.begin(), more.end()); }

bool equal(Batch const& a, Batch const& b) {
  return at::equal(a.tokens, b.tokens) && at::equal(a.labels, b.labels) && a.valid == b.valid && a.bytes == b.bytes &&
         a.global_valid == b.global_valid;
}

}  // namespace

TEST_CASE("batches are the windows in the order of the source, epoch after epoch") {
  auto const text = sample_text();
  auto windows = text | pack(8) | shuffle(5);
  auto data = text | pack(8) | shuffle(5) | batch(7);
  REQUIRE(windows.size() % 7 != 0);  // batches cross the ends of epochs
  std::int64_t epoch = 0, index = 0;
  for (int step = 0; step < 20; ++step) {
    auto const found = data.next();
    REQUIRE((found.tokens.sizes() == at::IntArrayRef{7, 8}));
    REQUIRE((found.tokens.scalar_type() == int64));
    REQUIRE((found.labels.sizes() == at::IntArrayRef{7, 8}));
    std::int64_t bytes = 0;
    for (std::int64_t r = 0; r < 7; ++r) {
      std::vector<TokenId> window(9);
      windows.read(epoch, index, window);
      for (std::size_t t = 0; t < 8; ++t) {
        REQUIRE(rows(found.tokens)[static_cast<std::size_t>(r)][t] == window[t]);
        REQUIRE(rows(found.labels)[static_cast<std::size_t>(r)][t] == window[t + 1]);
        bytes += window[t + 1] < 256;
      }
      if (++index == windows.size()) ++epoch, index = 0;
    }
    CHECK(found.valid == 56);
    CHECK(found.global_valid == 56);
    CHECK(found.bytes == bytes);
    CHECK(data.position() == Position{epoch, index, data.fingerprint()});
  }
  CHECK(epoch > 3);
}

TEST_CASE("every label comes exactly once an epoch") {
  auto data = sample_text(241, 0) | pack(6) | shuffle(1) | batch(1);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < data.epoch_size(); ++i) {
    auto const row = rows(data.next().labels).at(0);
    labels.insert(labels.end(), row.begin(), row.end());
  }
  auto const all = data.text().train();
  std::vector<std::int64_t> expected(all.begin() + 1, all.begin() + 1 + data.epoch_size() * 6);
  std::ranges::sort(labels);
  std::ranges::sort(expected);
  CHECK(labels == expected);
  CHECK(all.size() - 1 - expected.size() < 6);  // what is left over is less than a window
}

TEST_CASE("the rows of all ranks together are the batch of one") {
  for (std::int64_t world : {2, 3, 6}) {
    auto whole = sample_text() | pack(8) | shuffle(5) | batch(6);
    std::vector<decltype(whole)> ranks;
    for (std::int64_t rank = 0; rank < world; ++rank) ranks.push_back(whole), ranks.back().shard({rank, world});
    for (int step = 0; step < 12; ++step) {
      auto const expected = whole.next();
      Rows tokens, labels;
      std::int64_t bytes = 0, valid = 0;
      for (auto& rank : ranks) {
        auto const part = rank.next();
        CHECK(part.global_valid == expected.global_valid);
        append(tokens, rows(part.tokens)), append(labels, rows(part.labels));
        bytes += part.bytes, valid += part.valid;
        CHECK(rank.position() == whole.position());
      }
      REQUIRE(tokens == rows(expected.tokens));
      REQUIRE(labels == rows(expected.labels));
      CHECK(bytes == expected.bytes);
      CHECK(valid == expected.valid);
    }
    auto const held = whole.validation(12);
    for (std::int64_t i = 0; i < held.size(); ++i) {
      auto const expected = held[i];
      Rows labels;
      std::int64_t bytes = 0, valid = 0;
      for (auto& rank : ranks) {
        auto const part = rank.validation(12);
        REQUIRE(part.size() == held.size());
        append(labels, rows(part[i].labels));
        bytes += part[i].bytes, valid += part[i].valid;
        CHECK(part[i].global_valid == expected.global_valid);
      }
      CHECK(labels == rows(expected.labels));
      CHECK(bytes == expected.bytes);
      CHECK(valid == expected.global_valid);
    }
  }
}

TEST_CASE("going on from a saved position is going on, with any number of ranks") {
  auto whole = sample_text() | pack(8) | shuffle(5) | batch(6);
  for (int step = 0; step < 9; ++step) whole.next();
  auto const saved = whole.position();
  auto resumed = sample_text() | pack(8) | shuffle(5) | batch(6);
  resumed.seek(saved);
  auto half = sample_text() | pack(8) | shuffle(5) | batch(6);
  half.seek(saved);
  half.shard({1, 2});
  for (int step = 0; step < 9; ++step) {
    auto const expected = whole.next();
    CHECK(equal(resumed.next(), expected));
    CHECK(at::equal(half.next().labels, expected.labels.slice(0, 3)));
  }
}

TEST_CASE("held-out batches hold every label once, the bytes of the held-out text, and the same each time") {
  auto const text = sample_text();
  for (std::int64_t size : {1, 2, 5, 100}) {
    auto data = text | pack(8) | batch(4);
    auto const held = data.validation(size);
    std::vector<std::int64_t> labels;
    std::int64_t bytes = 0, valid = 0;
    for (std::int64_t i = 0; i < held.size(); ++i) {
      auto const found = held[i];
      REQUIRE((found.tokens.sizes() == at::IntArrayRef{size, 8}));
      CHECK(found.tokens.min().item<std::int64_t>() >= 0);  // padding is an id that an embedding can look up
      std::int64_t count = 0;
      for (auto const& row : rows(found.labels))
        for (auto label : row)
          if (label != -100) labels.push_back(label), ++count;
      CHECK(found.valid == count);
      CHECK(found.global_valid == count);
      bytes += found.bytes, valid += found.valid;
      CHECK(equal(found, held[i]));
    }
    CHECK(labels == std::vector<std::int64_t>(text.validation().begin() + 1, text.validation().end()));
    CHECK(bytes == text.bytes(text.validation()));
    CHECK(valid == static_cast<std::int64_t>(text.validation().size()) - 1);
  }
  CHECK((text | pack(8) | batch(4)).validation().size() == ((text | pack(8)).held_out().size() + 3) / 4);
  CHECK((sample_text(203, 0) | pack(8) | batch(4)).validation().size() == 0);
}

TEST_CASE("a batch larger than the text takes windows of several epochs") {
  auto data = sample_text(20, 0) | pack(30) | batch(5);
  REQUIRE(data.epoch_size() == 2);
  auto const found = rows(data.next().tokens);
  CHECK(found[0] == found[2]);
  CHECK(found[1] == found[3]);
  CHECK(found[0] == found[4]);
  CHECK(data.position() == Position{2, 1, data.fingerprint()});
}

TEST_CASE("batches are a range") {
  auto data = sample_text() | pack(8) | shuffle(2) | batch(3);
  auto again = sample_text() | pack(8) | shuffle(2) | batch(3);
  int count = 0;
  for (Batch const& found : data | std::views::take(4)) {
    CHECK(equal(found, again.next()));
    ++count;
  }
  CHECK(count == 4);
}

TEST_CASE("sizes, ranks and positions that cannot be are errors") {
  CHECK_THROWS_WITH_AS(batch(0), "batch: expected at least 1 window, found 0", ArgumentError);
  auto data = sample_text() | pack(8) | shuffle(5) | batch(6);
  CHECK_THROWS_WITH_AS(data.shard({0, 4}),
                       "batch: expected a batch that divides among 4 ranks, found 6 (the size is that of all ranks together)",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(data.shard({2, 2}), "batch: expected a rank in [0, world), found rank 2 of 2", ArgumentError);
  CHECK_THROWS_AS(data.shard({0, 0}), ArgumentError);
  auto const position = data.position();
  CHECK_THROWS_AS(data.seek({0, data.epoch_size(), 0}), ArgumentError);
  CHECK_THROWS_AS(data.seek({-1, 0, 0}), ArgumentError);
  auto other = sample_text() | pack(8) | shuffle(6) | batch(6);
  CHECK_THROWS_WITH_AS(other.seek(position), doctest::Contains("(text, tokenizer, window length or seed has changed)"), ArgumentError);
  auto larger = sample_text() | pack(8) | shuffle(5) | batch(12);
  larger.seek(position);  // the size of a batch may change
  CHECK_THROWS_AS(data.validation(-1), ArgumentError);
  data.shard({0, 2});
  CHECK_THROWS_AS(data.validation(3), ArgumentError);
}
