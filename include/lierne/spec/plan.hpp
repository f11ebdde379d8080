// SPDX-License-Identifier: Apache-2.0
// The record of a parallelism plan: how many processes stand along each axis of the mesh.
#pragma once

#include <cstdint>
#include <string>

namespace lierne {

/// The degree of an axis that takes the processes which the other axes leave.
inline constexpr int rest = -1;

/// Degrees of the mesh axes, outer to inner. `tensor` is fixed at compile time; one of the data-parallel degrees
/// (`replicate`, `shard`) may be `rest` and is found at launch. The default is one process.
/// - replicate: whole copies of the model, gradients summed (data parallel).
/// - shard: data parallel with weights, gradients and optimizer state cut along dimension 0 (FSDP).
/// - tensor: products cut inside a layer, activations cut along the sequence between layers.
/// Example: `constexpr Plan plan{.shard = rest, .tensor = 2};`
struct Plan {
  int replicate = 1;
  int shard = 1;
  int tensor = 1;

  friend constexpr bool operator==(Plan const&, Plan const&) = default;
};

/// Whether every degree can be used: 1 or more, and at most one `rest`.
constexpr bool well_formed(Plan plan) {
  auto const degree = [](int n) { return n >= 1 || n == rest; };
  return degree(plan.replicate) && degree(plan.shard) && plan.tensor >= 1 &&
         !(plan.replicate == rest && plan.shard == rest);
}

/// The plan with `rest` replaced by what `world` processes leave; degrees whose product is not `world` where they
/// cannot fit. A plan that is not well formed comes back as it is.
constexpr Plan resolved(Plan plan, int world) {
  if (!well_formed(plan)) return plan;
  auto const left_by = [world](std::int64_t a, int b) { return static_cast<int>(world / (a * b)); };
  if (plan.replicate == rest) plan.replicate = left_by(plan.shard, plan.tensor);
  if (plan.shard == rest) plan.shard = left_by(plan.replicate, plan.tensor);
  return plan;
}

/// Processes that a plan without `rest` needs.
constexpr std::int64_t processes(Plan plan) { return std::int64_t{plan.replicate} * plan.shard * plan.tensor; }

/// Whether `world` processes can take the plan's degrees exactly.
constexpr bool fits(Plan plan, int world) {
  if (!well_formed(plan) || world < 1) return false;
  auto const whole = resolved(plan, world);
  return well_formed(whole) && processes(whole) == world;
}

/// Example: `replicate 1, shard 4, tensor 2`.
inline std::string to_string(Plan plan) {
  auto const degree = [](int n) { return n == rest ? std::string("rest") : std::to_string(n); };
  return "replicate " + degree(plan.replicate) + ", shard " + degree(plan.shard) + ", tensor " + degree(plan.tensor);
}

}  // namespace lierne
