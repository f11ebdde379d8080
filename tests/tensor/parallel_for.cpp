// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/parallel_for.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

using namespace lierne;

TEST_CASE("the ranges cover every index once") {
  for (std::int64_t const n : {1, 2, 63, 64, 65, 10007}) {
    for (std::int64_t const grain : {1, 64, 20000}) {
      CAPTURE(n);
      CAPTURE(grain);
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      parallel_for(0, n, grain, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      bool once = true;
      for (auto const& count : seen) once = once && count == 1;
      CHECK(once);
    }
  }
}

TEST_CASE("a range that does not begin at zero") {
  std::atomic<std::int64_t> sum = 0;
  parallel_for(10, 20, 3, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) sum += i;
  });
  CHECK(sum == 145);
}

TEST_CASE("an empty range calls nothing, a small one is one call") {
  int calls = 0;
  parallel_for(5, 5, 1, [&](std::int64_t, std::int64_t) { ++calls; });
  CHECK(calls == 0);
  parallel_for(0, 100, 100, [&](std::int64_t begin, std::int64_t end) {
    ++calls;
    CHECK(begin == 0);
    CHECK(end == 100);
  });
  CHECK(calls == 1);
}

TEST_CASE("an exception of the body comes out") {
  CHECK_THROWS_AS(parallel_for(0, 1000, 1, [](std::int64_t, std::int64_t) { throw std::runtime_error("body"); }),
                  std::runtime_error);
}
