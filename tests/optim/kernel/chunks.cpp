// SPDX-License-Identifier: Apache-2.0
// Chunks cover every element once, whatever the sizes and the number of threads.
#include "lierne/optim/kernel/chunks.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <numeric>

using namespace lierne;

TEST_CASE("chunks cover every array in order, cut at multiples of the largest size") {
  std::vector<std::int64_t> const sizes{0, 1, 16, 17, 40, 0, 7};
  std::vector<std::int64_t> reached(sizes.size());
  for (auto const& chunk : cut_into_chunks(sizes, 16)) {
    auto& end = reached[static_cast<std::size_t>(chunk.array)];
    CHECK(chunk.begin == end);
    CHECK(chunk.begin % 16 == 0);
    CHECK((chunk.size >= 1 && chunk.size <= 16));
    end += chunk.size;
  }
  CHECK(reached == sizes);
}

TEST_CASE("every chunk is visited exactly once at any number of threads") {
  std::vector<std::int64_t> sizes(300, 64);
  sizes[7] = 3'000'000;
  sizes[200] = 1'000'000;
  auto const chunks = cut_into_chunks(sizes);
  auto const threads = at::get_num_threads();
  for (int count : {1, 2, 5}) {
    at::set_num_threads(count);
    std::vector<std::atomic<int>> visits(chunks.size());
    for_each_chunk(chunks, [&](Chunk const& chunk, std::size_t index) {
      CHECK(&chunk == &chunks[index]);
      ++visits[index];
    });
    CHECK(std::all_of(visits.begin(), visits.end(), [](auto const& n) { return n == 1; }));
  }
  at::set_num_threads(threads);
}

TEST_CASE("no chunks, no calls") {
  for_each_chunk({}, [](Chunk const&, std::size_t) { FAIL("called"); });
  CHECK(cut_into_chunks({}).empty());
}
