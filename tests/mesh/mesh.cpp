// SPDX-License-Identifier: Apache-2.0
#include "lierne/mesh/mesh.hpp"

#include <chrono>
#include <thread>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "processes.hpp"

using namespace lierne;

namespace {

/// The world ranks that this process meets along an axis.
std::vector<std::int64_t> peers(Group const& group, int rank) {
  auto const all = group.gather(at::full({1}, rank, at::TensorOptions().dtype(int64)));
  return {all.const_data_ptr<std::int64_t>(), all.const_data_ptr<std::int64_t>() + all.numel()};
}
using Ranks = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("one process has every axis to itself") {
  for (Mesh const& mesh : {Mesh{}, join(Plan{}, Launch{}), join(Plan{.shard = rest}, Launch{})}) {
    CHECK(mesh.plan() == Plan{});
    CHECK(mesh.rank() == 0);
    CHECK(mesh.world() == 1);
    CHECK(mesh.data_rank() == 0);
    CHECK(mesh.data_world() == 1);
    for (auto const axis : {Axis::replicate, Axis::shard, Axis::tensor}) CHECK(mesh[axis].alone());
  }
}

TEST_CASE("rank: axes" * doctest::skip()) {
  auto const launch = Launch::from_environment();
  Mesh const mesh = join(Plan{.replicate = 2, .shard = rest, .tensor = 2}, launch);
  CHECK(mesh.plan() == Plan{.replicate = 2, .shard = 2, .tensor = 2});
  CHECK(mesh.rank() == launch.rank);
  CHECK(mesh.world() == 8);
  // rank = (replicate · 2 + shard) · 2 + tensor
  int const r = launch.rank, tensor = r % 2, shard = r / 2 % 2, replicate = r / 4;
  CHECK(mesh[Axis::replicate].rank() == replicate);
  CHECK(mesh[Axis::shard].rank() == shard);
  CHECK(mesh[Axis::tensor].rank() == tensor);
  CHECK(mesh.data_rank() == r / 2);
  CHECK(mesh.data_world() == 4);
  CHECK(peers(mesh.all(), r) == Ranks{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(peers(mesh[Axis::replicate], r) == Ranks{r % 4, r % 4 + 4});
  CHECK(peers(mesh[Axis::shard], r) == Ranks{r - 2 * shard, r - 2 * shard + 2});
  CHECK(peers(mesh[Axis::tensor], r) == Ranks{r - tensor, r - tensor + 1});
}

TEST_CASE("rank: one axis" * doctest::skip()) {
  auto const launch = Launch::from_environment();
  Mesh const mesh = join(Plan{.shard = rest}, launch);
  CHECK(mesh.plan() == Plan{.shard = 3});
  CHECK(mesh[Axis::replicate].alone());
  CHECK(mesh[Axis::tensor].alone());
  CHECK(mesh.data_rank() == launch.rank);
  CHECK(peers(mesh[Axis::shard], launch.rank) == Ranks{0, 1, 2});
}

TEST_CASE("rank: a plan that does not fit" * doctest::skip()) {
  auto const launch = Launch::from_environment();
  CHECK_THROWS_WITH_AS(join(Plan{.shard = 3}, launch), doctest::Contains("shard 3, tensor 1) does not fit 2 processes"),
                       LaunchError);
  CHECK_THROWS_AS(join(Plan{.shard = rest, .tensor = 4}, launch), LaunchError);
  CHECK_THROWS_AS(join(Plan{.replicate = rest, .shard = rest}, launch), LaunchError);
  CHECK_THROWS_AS(join(Plan{}, launch), LaunchError);
#ifndef LIERNE_CUDA
  CHECK_THROWS_WITH_AS(join(Plan{.shard = 2}, launch, at::kCUDA), doctest::Contains("built without CUDA"), LaunchError);
#endif
}

TEST_CASE("rank: the store of the dead" * doctest::skip()) {
  // torchrun's agent keeps its store when it restarts the processes: what the first attempt left there must not reach
  // the second.
  auto const launch = Launch::from_environment();
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.port);
  options.isServer = launch.rank == 0;
  options.numWorkers = 2;
  c10d::TCPStore const agents(launch.address, options);
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto restarted = launch;
    restarted.store_exists = true;
    restarted.attempt = attempt;
    // Rank 0 looks for its peers before the others have said again where they are.
    if (attempt == 1 && launch.rank != 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    Mesh const mesh = join(Plan{.shard = 2}, restarted);
    CHECK(peers(mesh.all(), launch.rank) == Ranks{0, 1});
    mesh.all().barrier();
  }
}

TEST_CASE("every process finds its place and its peers along each axis") {
  SUBCASE("three axes") { processes::run("rank: axes", 8); }
  SUBCASE("one") { processes::run("rank: one axis", 3); }
}

TEST_CASE("a restart in the launcher's store") { processes::run("rank: the store of the dead", 2); }

TEST_CASE("a plan that does not fit the launch names both") {
  CHECK_THROWS_WITH_AS(join(Plan{.shard = 2}, Launch{}), doctest::Contains("shard 2, tensor 1) does not fit 1 process "),
                       LaunchError);
  processes::run("rank: a plan that does not fit", 2);
}
