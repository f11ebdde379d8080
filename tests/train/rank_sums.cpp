// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/rank_sums.hpp"

#include <doctest/doctest.h>

#include <array>

#include "processes.hpp"

using namespace lierne;

TEST_CASE("one process is its own sum") {
  Mesh const mesh;
  RankSums const sums(mesh, at::kCPU);
  CHECK(sums.over_data(2.5) == 2.5);
  CHECK(sums.over_all(-1.25) == -1.25);
  CHECK(sums.from_first(7) == 7);
  std::array<double, 2> added{1, 2};
  std::array<double, 1> largest{3};
  sums.over_all(added, largest);
  CHECK(added == std::array<double, 2>{1, 2});
  CHECK(largest[0] == 3);
}

TEST_CASE("rank: sums of four" * doctest::skip()) {
  auto const launch = Launch::from_environment();
  Mesh const mesh = join(Plan{.shard = 2, .tensor = 2}, launch);
  RankSums const sums(mesh, at::kCPU);
  auto const rank = static_cast<double>(launch.rank);
  // Ranks along the tensor axis, which is the inner one, hold the same rows.
  CHECK(sums.over_data(rank) == (launch.rank % 2 == 0 ? 0 + 2 : 1 + 3));
  CHECK(sums.over_all(rank) == 6);
  CHECK(sums.from_first(launch.rank + 5) == 5);
  std::array<double, 2> added{1, rank};
  std::array<double, 2> largest{rank, -rank};
  sums.over_all(added, largest);
  CHECK(added == std::array<double, 2>{4, 6});
  CHECK(largest == std::array<double, 2>{3, 0});
}

TEST_CASE("four processes agree on sums, maxima and what the first says") { processes::run("rank: sums of four", 4); }
