// SPDX-License-Identifier: Apache-2.0
// Who this process is among those that were launched together: torchrun, Slurm or mpirun say so in the environment.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

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
  char* end = nullptr;
  long const value = std::strtol(text->c_str(), &end, 10);
  check<LaunchError>(*end == '\0' && value >= 0, "launch: expected ", name, " to be a non-negative integer, found '",
                     *text, "'");
  return static_cast<int>(value);
}

inline std::optional<int> first_of(std::initializer_list<char const*> names) {
  for (char const* name : names) {
    if (auto value = environment_int(name)) return value;
  }
  return std::nullopt;
}

}  // namespace detail

/// Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT (torchrun), or the rank variables of mpirun
/// (OMPI_COMM_WORLD_*, PMI_*) or Slurm (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID) with MASTER_ADDR and MASTER_PORT.
/// Without any of them the process is alone.
/// Errors: `LaunchError` naming the variable that is missing, malformed or out of range.
inline Launch Launch::from_environment() {
  using detail::first_of;
  // Slurm's variables are set in every allocation, also where a process runs alone: they count only with an address.
  bool const addressed = detail::environment("MASTER_ADDR").has_value();
  auto const world = addressed ? first_of({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"})
                               : first_of({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  if (!world || *world == 1) return {};
  auto const rank = first_of({"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"});
  check<LaunchError>(rank.has_value(), "launch: ", *world, " processes announced, but none of RANK, "
                     "OMPI_COMM_WORLD_RANK, PMI_RANK and SLURM_PROCID is set (start with torchrun, srun or mpirun)");
  check<LaunchError>(*rank < *world, "launch: rank ", *rank, " is not below the world size ", *world);
  auto const port = detail::environment_int("MASTER_PORT");
  check<LaunchError>(addressed && port.has_value(), "launch: ", *world,
                     " processes announced, but MASTER_ADDR or MASTER_PORT is not set (torchrun sets both; under "
                     "srun and mpirun export the first node's name and a free port)");
  return {.rank = *rank,
          .world = *world,
          .local_rank =
              first_of({"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}).value_or(0),
          .address = *detail::environment("MASTER_ADDR"),
          .port = *port,
          .store_exists = detail::environment("TORCHELASTIC_USE_AGENT_STORE") == "True"};
}

}  // namespace lierne
