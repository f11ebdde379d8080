// SPDX-License-Identifier: Apache-2.0
// The mesh: the launched processes arranged along the axes of a plan.
#pragma once

#include <array>

#include "lierne/mesh/group.hpp"
#include "lierne/mesh/launch.hpp"
#include "lierne/spec/plan.hpp"

#if LIERNE_BODIES
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef LIERNE_CUDA
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace lierne {

/// The axes of the mesh, outer to inner; ranks that differ in the last axis alone are neighbours.
enum class Axis { replicate, shard, tensor };

/// The launched processes along a plan's axes. The default is one process.
/// Example: `Mesh mesh = join(plan, Launch::from_environment(), device);`
class Mesh {
 public:
  Mesh() = default;

  /// The plan without `rest`.
  Plan plan() const { return plan_; }
  int rank() const { return world_.rank(); }
  int world() const { return world_.size(); }
  /// All processes.
  Group const& all() const { return world_; }
  /// The processes that differ from this one along `axis` alone.
  Group const& operator[](Axis axis) const { return groups_[static_cast<std::size_t>(axis)]; }
  /// This process's place among those that read different data, and their number.
  int data_rank() const { return (*this)[Axis::replicate].rank() * plan_.shard + (*this)[Axis::shard].rank(); }
  int data_world() const { return plan_.replicate * plan_.shard; }

 private:
  friend Mesh join(Plan plan, Launch const& launch, Device device);

  Plan plan_{};
  Group world_{};
  std::array<Group, 3> groups_{};
};

/// Meets the other processes of the launch and builds the groups of the plan's axes: NCCL on GPUs, Gloo on CPUs.
/// Errors: `LaunchError` when the launched processes do not fit the plan, naming both; c10d's on a failed rendezvous.
Mesh join(Plan plan, Launch const& launch, Device device = at::kCPU);

#if LIERNE_BODIES
namespace detail {

inline c10::intrusive_ptr<c10d::Backend> make_backend(c10::intrusive_ptr<c10d::Store> const& store, int rank, int size,
                                                      Device device) {
#ifdef LIERNE_CUDA
  if (device.is_cuda()) return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size);
#endif
  check<LaunchError>(device.is_cpu(), "join: expected device cpu, found ", device.str(),
                     " (this program was built without CUDA: use the cuda preset)");
  auto options = c10d::ProcessGroupGloo::Options::create();
  options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

}  // namespace detail

LIERNE_INLINE Mesh join(Plan plan, Launch const& launch, Device device) {
  check<LaunchError>(fits(plan, launch.world), "join: plan (", to_string(plan), ") does not fit ", launch.world,
                     " process", launch.world == 1 ? "" : "es",
                     " (degrees must multiply to the number launched; `rest` takes what the others leave)");
  Mesh mesh;
  mesh.plan_ = resolved(plan, launch.world);
  if (launch.world == 1) return mesh;

  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.port);
  options.isServer = launch.rank == 0 && !launch.store_exists;
  options.numWorkers = static_cast<std::size_t>(launch.world);
  c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::TCPStore>(launch.address, options);
  auto const group = [&](std::string const& name, int rank, int size) {
    if (size == 1) return Group{};
    // After a restart the launcher's store still holds the addresses of the dead.
    auto scoped = c10::make_intrusive<c10d::PrefixStore>(message("lierne/", launch.attempt, "/", name), store);
    auto backend = detail::make_backend(scoped, rank, size, device);
    return Group(rank, size, std::make_shared<detail::GroupBackend>(std::move(backend)));
  };

  Plan const p = mesh.plan_;
  int const tensor = launch.rank % p.tensor;
  int const shard = launch.rank / p.tensor % p.shard;
  int const replicate = launch.rank / p.tensor / p.shard;
  auto const line = [](char const* axis, int a, int b) { return message(axis, "/", a, ".", b); };
  mesh.world_ = group("world", launch.rank, launch.world);
  mesh.groups_ = {group(line("replicate", shard, tensor), replicate, p.replicate),
                  group(line("shard", replicate, tensor), shard, p.shard),
                  group(line("tensor", replicate, shard), tensor, p.tensor)};
  return mesh;
}
#endif

}  // namespace lierne
