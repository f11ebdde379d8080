// SPDX-License-Identifier: Apache-2.0
// The contract of a stage: what one step of an update rule declares and computes. Sees the standard library only.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "lierne/optim/field.hpp"
#include "lierne/optim/value.hpp"

namespace lierne {

/// The role of the pieces of an update rule. A stage says `using pipe_role = StageRole;`.
struct StageRole : PipeRole {};

/// Factors on a rule's settings for one parameter (muP's tables, groups).
struct Multipliers {
  double rate = 1;
  double decay = 1;
  double epsilon = 1;
  friend bool operator==(Multipliers const&, Multipliers const&) = default;
};

/// One call of a rule for one parameter: what a stage's coefficients may depend on.
/// `Number` is double, or a tensor where a step is differentiated with respect to its rate.
template <class Number = double>
struct Call {
  std::int64_t calls = 0;  ///< calls finished before this one, of this parameter: one without gradient does not count
  Number rate = 0;         ///< of this call: initial rate · schedule's factor · multiplier
  double factor = 1;       ///< the schedule's factor, rate / initial rate; 1 where the initial rate is 0
  double norm = 0;         ///< the global norm of the gradients; measured where a stage asks for it
  Multipliers multipliers{};
  double loss_scale = 1;   ///< the factor that gradients still have
};

/// What the stages of a pipe hand on, for one element, one vector or one tensor.
template <class V>
struct Element {
  V weight;
  V gradient;   ///< stages before the recipe change it
  V direction;  ///< starts as the gradient where the recipe starts; the rule subtracts rate · direction at its end
};

/// The same in a measured step: a stage that clips elements adds up how many.
template <class V>
struct CountingElement : Element<V> {
  V clipped;
};

/// Where in a rule a stage stands.
enum class Place { before_recipe, in_recipe, after_recipe };

// A stage is an aggregate of settings. All that it may declare, apart from `pipe_role`, is optional:
//
//   struct Drag {                                                             // u <- u + strength · m, m <- u
//     using pipe_role = ln::StageRole;
//     using fields = ln::Fields<"previous">;                                  // tensors it keeps
//     double strength = 0.1;
//     constexpr auto coefficients(auto const& call) const {                   // uniform numbers, in double
//       return std::array{strength * call.factor};
//     }
//     template <class V>
//     static constexpr void element(auto const& numbers, ln::Element<V>& at, V& previous) {
//       auto const& [strength] = numbers;
//       V const direction = at.direction;
//       at.direction = direction + strength * previous;
//       previous = direction;
//     }
//   };
//
// * `coefficients(call)` runs once per parameter and call; `numbers` are its results, rounded to the weight's dtype.
// * `element` is static, runs once per element, and is generic over `Value`: no `if` on V, `select` instead. A branch on
//   a number is allowed. It is constexpr so that nvcc (--expt-relaxed-constexpr) can call it on the device.
// * `holds(call)` makes a stage a gate: in such a call it runs `hold` (as `element`) instead, and nothing after it runs:
//   no later stage, no decay, no change of the weight.
// * `changes_direction = true` keeps it from standing before the recipe, where there is no direction yet.
// * `whole_tensor = true`: `element` runs on whole tensors alone and may use `sum`, `size` and `like` of
//   optim/kernel/whole_tensor.hpp. It runs by ATen's operations between fused passes of the stages around it; its rule
//   has no single pass over memory, and refuses parameters cut over ranks.
// * `field_shape(k, weight)`, for a stage of whole tensors, is the shape of its field k for a weight of a shape
//   (optim/field_shape.hpp); `static constexpr Dimensions dimensions{2, 2};` refuses weights with fewer or more dimensions.
// * `fields_start_at_weight = true`: its fields start as copies of the weight instead of zeros.
// * `using carried = Fields<"weight_sum">` names uniform numbers that it carries from call to call, zero at first and
//   saved with the state. It then has `coefficients(call, carried)`, which reads and changes them in an array.
// * `after_apply = true`: it runs when the weight has moved, and stands behind everything that moves it.
// * `gives_evaluation_weights = true`: by `evaluation_weight(weight, fields ...)`, generic over V, it says which
//   weights the model is to be judged by.
// * `phase_boundary = true`: it needs all gradients before the first parameter moves, as the norm of all does.
// * `check_place<place, first>()` holds a static_assert on where the stage stands; `first`: before it there is nothing
//   but stages with `leads = true`, which have one number each, a factor on gradients.
// * `check_in_rule<Rule>()` holds a static_assert on the whole rule.
// * `name()` is the stage with its settings, in a line.

/// Satisfied if and only if `T` is a piece of an update rule: a stage, a recipe, or a pipe of them.
template <class T>
concept Stage = Pipeable<T> && std::same_as<typename T::pipe_role, StageRole>;

/// Satisfied if and only if the stage may stop the pipe for a parameter.
template <class T>
concept Gate = Stage<T> && requires(T const& stage, Call<> call) {
  { stage.holds(call) } -> std::same_as<bool>;
};

/// Satisfied if and only if the stage needs the global norm of the gradients before the first element runs: a phase
/// boundary. Satisfied by `ClipNorm`.
template <class T>
concept PhaseBoundary = Stage<T> && T::phase_boundary;

}  // namespace lierne
