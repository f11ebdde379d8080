// SPDX-License-Identifier: Apache-2.0
// Who this process is among those that were launched together: torchrun, Slurm or mpirun say so in the environment.
#pragma once

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "lierne/core/error.hpp"

namespace lierne {

/// One process's place in a launch. The default is a process alone.
struct Launch {
  int rank = 0;
  int world = 1;
  int local_rank = 0;       ///< rank among the processes of this machine: chooses the GPU
  std::string address{};    ///< of the process that keeps the rendezvous store
  int port = 0;
  bool store_exists = false;  ///< the launcher keeps the store itself (torchrun's agent)
  int attempt = 0;            ///< how often the launcher has restarted the processes, while its store lived on

  static Launch from_environment();
};

namespace detail {

inline std::optional<std::string> environment(char const* name) {
  char const* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::optional<std::string>(text) : std::nullopt;
}

inline std::optional<int> environment_int(char const* name) {
  auto const text = environment(name);
  if (!text) return std::nullopt;
  int value = 0;
  auto const end = text->data() + text->size();
  auto const [stop, error] = std::from_chars(text->data(), end, value);
  check<LaunchError>(error == std::errc{} && stop == end && value >= 0, "launch: expected ", name,
                     " to be a non-negative integer, found '", *text, "'");
  return value;
}

inline std::optional<int> first_of(std::initializer_list<char const*> names) {
  for (char const* name : names) {
    if (auto value = environment_int(name)) return value;
  }
  return std::nullopt;
}

/// The number of launched processes. Errors: `LaunchError` where a rank is announced without it: every process would
/// take itself for the only one.
inline int announced_world() {
  // srun sets the step's count for each task; the job's count is there in every allocation, also where one process runs
  // outside of srun, so it counts only with an address.
  auto world = first_of({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"});
  if (!world && environment("MASTER_ADDR")) world = environment_int("SLURM_NTASKS");
  for (auto const& [rank, size] : {std::pair{"RANK", "WORLD_SIZE"}, {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                   {"PMI_RANK", "PMI_SIZE"}}) {
    check<LaunchError>(world || !environment(rank), "launch: ", rank, " is set, but ", size,
                       " is not (unset the one, or set the other)");
  }
  check<LaunchError>(!world || *world >= 1, "launch: expected WORLD_SIZE (or the launcher's own count of processes) to "
                     "be at least 1, found 0");
  return world.value_or(1);
}

}  // namespace detail

/// Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT (torchrun), or the rank variables of mpirun
/// (OMPI_COMM_WORLD_*, PMI_*) or Slurm (SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS, SLURM_LOCALID) with
/// MASTER_ADDR and MASTER_PORT. Without any of them the process is alone.
/// Errors: `LaunchError` naming the variable that is missing, malformed or out of range.
inline Launch Launch::from_environment() {
  using detail::first_of;
  int const world = detail::announced_world();
  if (world == 1) return {};
  auto const rank = first_of({"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"});
  check<LaunchError>(rank.has_value(), "launch: ", world, " processes announced, but none of RANK, "
                     "OMPI_COMM_WORLD_RANK, PMI_RANK and SLURM_PROCID is set (start with torchrun, srun or mpirun)");
  check<LaunchError>(*rank < world, "launch: rank ", *rank, " is not below the world size ", world);
  auto const address = detail::environment("MASTER_ADDR");
  auto const port = detail::environment_int("MASTER_PORT");
  check<LaunchError>(address.has_value() && port.has_value(), "launch: ", world,
                     " processes announced, but MASTER_ADDR or MASTER_PORT is not set (torchrun sets both; under "
                     "srun and mpirun export the first node's name and a free port)");
  check<LaunchError>(*port >= 1 && *port <= 65535, "launch: expected MASTER_PORT to be 1 to 65535, found ", *port);
  return {.rank = *rank,
          .world = world,
          .local_rank =
              first_of({"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}).value_or(0),
          .address = *address,
          .port = *port,
          .store_exists = detail::environment("TORCHELASTIC_USE_AGENT_STORE") == "True",
          .attempt = detail::environment_int("TORCHELASTIC_RESTART_COUNT").value_or(0)};
}

}  // namespace lierne
