// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/prefetch.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "lierne/data/data.hpp"
#include "sample.hpp"

using namespace lierne;

static_assert(std::ranges::input_range<Prefetched<Batched<Packed>>>);
static_assert(DataStage<PrefetchStage>);

namespace {

Text sample_text() {
  std::vector<std::string> const documents{sample::letters(300, 1)};
  return {sample::byte_tokenizer(), documents, {.validation = 0.2}};
}

auto plain() { return sample_text() | pack(8) | shuffle(5) | batch(6); }

bool equal(Batch const& a, Batch const& b) { return at::equal(a.tokens, b.tokens) && at::equal(a.labels, b.labels); }

/// A source that counts its batches and breaks at one of them.
struct Breaking {
  std::shared_ptr<std::atomic<int>> made;
  int breaks_at;
  int at = 0;

  Batch next() {
    if (at == breaks_at) throw NumericError("batch " + std::to_string(at) + " is broken");
    ++*made;
    Batch batch;
    batch.valid = at++;
    return batch;
  }
  Position position() const { return {0, at, 0}; }
  void seek(Position position) { at = static_cast<int>(position.index); }
};

}  // namespace

TEST_CASE("batches and positions are those without prefetch, however far ahead") {
  for (std::int64_t ahead : {1, 2, 7}) {
    auto expected = plain();
    auto data = plain() | prefetch(ahead);
    CHECK(data.position() == expected.position());
    for (int step = 0; step < 40; ++step) {
      REQUIRE(equal(data.next(), expected.next()));
      REQUIRE(data.position() == expected.position());
    }
  }
}

TEST_CASE("seek and shard take effect at the consumer's position, not at the thread's") {
  auto expected = plain();
  auto data = plain() | prefetch(5);
  for (int step = 0; step < 3; ++step) data.next(), expected.next();
  auto const saved = data.position();
  data.shard({1, 2});
  expected.shard({1, 2});
  for (int step = 0; step < 5; ++step) REQUIRE(equal(data.next(), expected.next()));
  data.seek(saved);
  expected.seek(saved);
  for (int step = 0; step < 5; ++step) REQUIRE(equal(data.next(), expected.next()));
  CHECK_THROWS_AS(data.seek({0, 1 << 30, 0}), ArgumentError);
  REQUIRE(equal(data.next(), expected.next()));  // a refused position changes nothing
  CHECK_THROWS_AS(data.shard({0, 5}), ArgumentError);
  REQUIRE(equal(data.next(), expected.next()));
}

TEST_CASE("an error of the source comes in the place of its batch and stays until the stream is moved") {
  auto made = std::make_shared<std::atomic<int>>(0);
  auto data = Breaking{made, 3} | prefetch(10);
  for (int i = 0; i < 3; ++i) CHECK(data.next().valid == i);
  for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH_AS(data.next(), "batch 3 is broken", NumericError);
  CHECK(data.position().index == 3);
  data.seek({0, 1, 0});
  CHECK(data.next().valid == 1);
  CHECK(data.next().valid == 2);
  CHECK_THROWS_AS(data.next(), NumericError);
}

TEST_CASE("the thread stays within its bound and ends with the object, full, waiting or never begun") {
  auto made = std::make_shared<std::atomic<int>>(0);
  {
    auto data = Breaking{made, -1} | prefetch(3);
    CHECK(*made == 0);  // nothing is read before the first batch is asked for
    data.next();
    for (int wait = 0; wait < 2000 && *made < 5; ++wait) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(*made == 5);  // one given, three ready, one in hand
  }
  CHECK(*made == 5);
  auto const never = Breaking{made, -1} | prefetch(3);
  for (int i = 0; i < 50; ++i) {
    auto data = plain() | prefetch(2);
    if (i % 2) data.next();
  }
}

TEST_CASE("a prefetched stream can be moved while its thread runs, and is a range") {
  auto expected = plain();
  auto first = plain() | prefetch(2);
  REQUIRE(equal(first.next(), expected.next()));
  auto second = std::move(first);
  for (Batch const& found : second | std::views::take(6)) REQUIRE(equal(found, expected.next()));
  CHECK(second.validation().size() == expected.validation().size());
  CHECK(second.length() == 8);
  CHECK(second.batch_size() == 6);
  CHECK(second.epoch_size() == expected.epoch_size());
}

TEST_CASE("nothing ahead is an error") {
  CHECK_THROWS_WITH_AS(prefetch(0), "prefetch: expected at least 1 batch ahead, found 0", ArgumentError);
}
