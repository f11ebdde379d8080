// SPDX-License-Identifier: Apache-2.0
#include "lierne/mesh/launch.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace lierne;

namespace {

constexpr char const* all_names[] = {
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE",
    "TORCHELASTIC_RESTART_COUNT", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
    "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"};

using Variables = std::map<std::string, std::string>;

/// What a process launched with these variables, and no others of ours, reads.
Launch read(Variables const& variables) {
  Variables before;
  for (char const* name : all_names) {
    if (char const* value = std::getenv(name)) before[name] = value;
    ::unsetenv(name);
  }
  for (auto const& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  struct Restore {
    Variables const& before;
    ~Restore() {
      for (char const* name : all_names) ::unsetenv(name);
      for (auto const& [name, value] : before) ::setenv(name.c_str(), value.c_str(), 1);
    }
  } const restore{before};
  return Launch::from_environment();
}

Variables operator+(Variables a, Variables const& b) {
  for (auto const& [name, value] : b) a[name] = value;
  return a;
}
Variables without(Variables a, std::string const& name) {
  REQUIRE(a.erase(name) == 1);
  return a;
}

Variables const master{{"MASTER_ADDR", "node7"}, {"MASTER_PORT", "29500"}};
Variables const torchrun = master + Variables{{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}};
Variables const open_mpi = master + Variables{{"OMPI_COMM_WORLD_RANK", "5"},
                                              {"OMPI_COMM_WORLD_SIZE", "8"},
                                              {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}};
Variables const hydra = master + Variables{{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}, {"MPI_LOCALRANKID", "1"}};
Variables const slurm = master + Variables{{"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "1"}};
Variables const srun = slurm + Variables{{"SLURM_STEP_NUM_TASKS", "8"}};

#define CHECK_REFUSED(variables, text) CHECK_THROWS_WITH_AS(read(variables), doctest::Contains(text), LaunchError)

}  // namespace

TEST_CASE("every launcher's variables say the same") {
  for (auto const& variables : {torchrun, open_mpi, hydra, slurm, srun}) {
    auto const launch = read(variables);
    CAPTURE(variables.rbegin()->first);
    CHECK(launch.rank == 5);
    CHECK(launch.world == 8);
    CHECK(launch.local_rank == 1);
    CHECK(launch.address == "node7");
    CHECK(launch.port == 29500);
    CHECK_FALSE(launch.store_exists);
    CHECK(launch.attempt == 0);
  }
}

TEST_CASE("torchrun's agent may keep the store, also through restarts") {
  CHECK(read(torchrun + Variables{{"TORCHELASTIC_USE_AGENT_STORE", "True"}}).store_exists);
  CHECK_FALSE(read(torchrun + Variables{{"TORCHELASTIC_USE_AGENT_STORE", "False"}}).store_exists);
  CHECK(read(torchrun + Variables{{"TORCHELASTIC_RESTART_COUNT", "3"}}).attempt == 3);
}

TEST_CASE("the inner launcher's variables go first") {
  // One torchrun on each node, started by srun.
  auto const launch = read(srun + Variables{{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}} + torchrun);
  CHECK(launch.rank == 5);
  CHECK(launch.world == 8);
  // mpirun inside a Slurm allocation.
  CHECK(read(Variables{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}} + open_mpi).rank == 5);
}

TEST_CASE("a process without a launcher is alone") {
  auto const alone = [](Variables const& variables) {
    auto const launch = read(variables);
    return launch.rank == 0 && launch.world == 1 && launch.address.empty();
  };
  CHECK(alone({}));
  CHECK(alone(master));
  CHECK(alone({{"WORLD_SIZE", "1"}, {"RANK", "0"}}));
  CHECK(alone({{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}}));
  CHECK(alone({{"WORLD_SIZE", ""}, {"RANK", ""}}));  // empty is unset
  // A batch script of an allocation for eight tasks, which starts the program without srun.
  CHECK(alone({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}}));
  CHECK(alone(srun + Variables{{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "1"}}));
}

TEST_CASE("the local rank is 0 where nobody names it") {
  CHECK(read(without(torchrun, "LOCAL_RANK")).local_rank == 0);
  CHECK(read(without(hydra, "MPI_LOCALRANKID")).local_rank == 0);
}

TEST_CASE("a missing variable is named") {
  CHECK_REFUSED(without(torchrun, "RANK"), "none of RANK, OMPI_COMM_WORLD_RANK, PMI_RANK and SLURM_PROCID");
  CHECK_REFUSED(without(srun, "SLURM_PROCID"), "SLURM_PROCID");
  for (auto const& variables : {torchrun, open_mpi, hydra, srun}) {
    CHECK_REFUSED(without(variables, "MASTER_ADDR"), "MASTER_ADDR");
    CHECK_REFUSED(without(variables, "MASTER_PORT"), "MASTER_PORT");
  }
  // A rank without a count: each of the processes would train alone.
  CHECK_REFUSED(without(torchrun, "WORLD_SIZE"), "RANK is set, but WORLD_SIZE is not");
  CHECK_REFUSED(without(open_mpi, "OMPI_COMM_WORLD_SIZE"), "OMPI_COMM_WORLD_RANK is set, but OMPI_COMM_WORLD_SIZE is not");
  CHECK_REFUSED(without(hydra, "PMI_SIZE"), "PMI_RANK is set, but PMI_SIZE is not");
}

TEST_CASE("a malformed variable is named with its value") {
  for (auto const* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"}) {
    for (auto const* value : {"two", "-1", "1.5", "3 ", " 3", "+3", "0x3", "99999999999", "18446744073709551617"}) {
      CAPTURE(name);
      CAPTURE(value);
      auto const expected = message("expected ", name, " to be a non-negative integer, found '", value, "'");
      CHECK_REFUSED((torchrun + Variables{{name, value}}), expected.c_str());
    }
  }
  CHECK_REFUSED((srun + Variables{{"SLURM_PROCID", "a"}}), "SLURM_PROCID");
  CHECK_REFUSED((srun + Variables{{"SLURM_STEP_NUM_TASKS", "8(x2)"}}), "SLURM_STEP_NUM_TASKS");
  CHECK_REFUSED((slurm + Variables{{"SLURM_NTASKS", "many"}}), "SLURM_NTASKS");
  CHECK_REFUSED((open_mpi + Variables{{"OMPI_COMM_WORLD_SIZE", "?"}}), "OMPI_COMM_WORLD_SIZE");
  CHECK_REFUSED((hydra + Variables{{"PMI_SIZE", "?"}}), "PMI_SIZE");
}

TEST_CASE("a number out of range is named") {
  CHECK_REFUSED((torchrun + Variables{{"RANK", "8"}}), "rank 8 is not below the world size 8");
  CHECK_REFUSED((torchrun + Variables{{"WORLD_SIZE", "0"}}), "WORLD_SIZE");
  CHECK_REFUSED((torchrun + Variables{{"MASTER_PORT", "0"}}), "expected MASTER_PORT to be 1 to 65535, found 0");
  CHECK_REFUSED((torchrun + Variables{{"MASTER_PORT", "65536"}}), "expected MASTER_PORT to be 1 to 65535, found 65536");
}
