// SPDX-License-Identifier: Apache-2.0
// Schedules: the factor on a rule's rate at each step. Sees the standard library only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <optional>

#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/optim/rule.hpp"

namespace lierne {

/// The role of the parts of a schedule: `warmup(200) | stable() | cosine_to(0.1)`.
struct ScheduleRole : PipeRole {};

/// The factor rises linearly, (k + 1)/steps at step k, so that the first step already moves. Units: optimizer steps.
struct Warmup {
  using pipe_role = ScheduleRole;
  static constexpr int order = 0;
  std::int64_t steps = 0;
};

/// The factor is 1 for as long as warm-up and cooldown leave room.
struct Stable {
  using pipe_role = ScheduleRole;
  static constexpr int order = 1;
};

/// How a cooldown falls from 1 to 0 with its progress p: 1 - p, 1 - √p, (1 + cos πp)/2.
enum class CooldownShape { linear, sqrt, cosine };

/// How long a cooldown lasts: a fraction of all steps (rounded half to even), a number of steps, or, with neither, every
/// step after the warm-up. It never reaches into the warm-up.
struct CooldownLength {
  std::optional<double> fraction{};
  std::optional<std::int64_t> steps{};
};

/// The factor falls from 1 to `smallest` at the end of the run.
struct Cooldown {
  using pipe_role = ScheduleRole;
  static constexpr int order = 2;
  CooldownShape shape = CooldownShape::linear;
  double smallest = 0;
  CooldownLength length{};
};

/// Example: `warmup(200) | cosine_to(0.1)`.
Warmup warmup(std::int64_t steps);
constexpr Stable stable() { return {}; }

namespace detail {

Cooldown cooldown(char const* entry, CooldownShape shape, double smallest, CooldownLength length);

template <class Node>
struct PartsInOrder {
  static constexpr bool value = true;
  static constexpr int first = Node::order;
  static constexpr int last = Node::order;
};
template <class Left, class Right>
struct PartsInOrder<Pipe<Left, Right>> {
  static constexpr int first = PartsInOrder<Left>::first;
  static constexpr int last = PartsInOrder<Right>::last;
  static constexpr bool value =
      PartsInOrder<Left>::value && PartsInOrder<Right>::value && PartsInOrder<Left>::last < PartsInOrder<Right>::first;
};

}  // namespace detail

/// Cooldowns in three shapes. Units: `.steps` in optimizer steps, `.fraction` of all steps of the run.
/// Errors: `ArgumentError` for a smallest factor or fraction outside [0, 1], and for both lengths at once.
/// Example: `warmup(200) | stable() | linear_to(0, {.fraction = 0.2})`.
inline Cooldown linear_to(double smallest, CooldownLength length = {}) {
  return detail::cooldown("linear_to", CooldownShape::linear, smallest, length);
}
inline Cooldown sqrt_to(double smallest, CooldownLength length = {}) {
  return detail::cooldown("sqrt_to", CooldownShape::sqrt, smallest, length);
}
inline Cooldown cosine_to(double smallest, CooldownLength length = {}) {
  return detail::cooldown("cosine_to", CooldownShape::cosine, smallest, length);
}

/// A whole schedule: the factor at step k (from 0) of a run of `total` steps.
using Schedule = std::function<double(std::int64_t step, std::int64_t total)>;

/// Satisfied if and only if `T` is a pipe of schedule parts.
template <class T>
concept ScheduleParts = Pipeable<T> && std::same_as<typename T::pipe_role, ScheduleRole>;

/// The schedule of a warm-up, in steps, and a cooldown, if any. `schedule` calls it.
Schedule warmup_stable_cooldown(std::int64_t warmup_steps, std::optional<Cooldown> const& cooldown);

/// A pipe of parts as one function.
/// Math: T steps; W = min(warm-up, T); D = cooldown, at most T - W; S = T + 1 - W - D. k < W: (k + 1)/W. k < W + S: 1.
/// Else p = (k + 1 - W - S)/D and the factor is smallest + (1 - smallest) · shape(p). The one virtual step in S keeps
/// the factor of the last real step above `smallest`. Source: torchtitan, build_lr_schedulers.
/// Errors (compile time): warm-up, stable part and cooldown stand in this order, each at most once.
template <ScheduleParts Parts>
Schedule schedule(Parts const& parts) {
  static_assert(detail::PartsInOrder<Parts>::value,
                "schedule: its parts must stand in the order warmup, stable, cooldown, each at most once "
                "(write warmup(200) | stable() | cosine_to(0.1))");
  std::int64_t warmup_steps = 0;
  std::optional<Cooldown> cooldown;
  for_each_piece(parts, [&](auto const& part) {
    if constexpr (requires { part.shape; }) {
      cooldown = part;
    } else if constexpr (requires { part.steps; }) {
      warmup_steps = part.steps;
    }
  });
  return warmup_stable_cooldown(warmup_steps, cooldown);
}

/// A rule whose rate follows a schedule.
template <Stage Node>
struct Scheduled {
  Node rule;
  Schedule schedule;
};

/// Joins a rule and its schedule. The schedule is a pipe of parts, or a function of yours (step, total) -> factor.
/// Errors (compile time): those of `check_rule` and of `schedule`.
/// Example: `scheduled(clip_norm(1.0) | adamw() | decay(0.1, times_rate), warmup(200) | stable() | cosine_to(0.1))`.
template <Stage Node, class Given>
Scheduled<Node> scheduled(Node const& rule, Given const& given) {
  static_assert(check_rule<Node>());
  if constexpr (ScheduleParts<Given>) {
    return {rule, schedule(given)};
  } else {
    static_assert(std::is_convertible_v<Given, Schedule>,
                  "scheduled: the schedule must be a pipe of parts or a function (write warmup(200) | cosine_to(0.1), or "
                  "[](std::int64_t step, std::int64_t total) { return 1.0; })");
    return {rule, Schedule(given)};
  }
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE Cooldown cooldown(char const* entry, CooldownShape shape, double smallest, CooldownLength length) {
  check(smallest >= 0 && smallest <= 1, entry, ": the smallest factor must lie in [0, 1], found ", smallest);
  check(!(length.fraction && length.steps), entry, ": its length must be a fraction or steps, not both");
  check(!length.fraction || (*length.fraction >= 0 && *length.fraction <= 1), entry,
        ": the fraction must lie in [0, 1], found ", length.fraction.value_or(0));
  check(!length.steps || *length.steps >= 0, entry, ": steps must be 0 or more, found ", length.steps.value_or(0));
  return {.shape = shape, .smallest = smallest, .length = length};
}

// Python's round.
inline std::int64_t round_half_to_even(double value) {
  double const below = std::floor(value);
  double const rest = value - below;
  bool const up = rest > 0.5 || (rest == 0.5 && std::fmod(below, 2.0) != 0);
  return static_cast<std::int64_t>(below) + (up ? 1 : 0);
}

}  // namespace detail

LIERNE_INLINE Warmup warmup(std::int64_t steps) {
  check(steps >= 0, "warmup: steps must be 0 or more, found ", steps);
  return {.steps = steps};
}

LIERNE_INLINE Schedule warmup_stable_cooldown(std::int64_t warmup_steps, std::optional<Cooldown> const& cooldown) {
  return [warmup_steps, cooldown](std::int64_t step, std::int64_t total) -> double {
    check(total > 0, "schedule: the steps of the whole run must be known, found ", total, " (set StepContext::total)");
    auto const warm = std::min(warmup_steps, total);
    std::int64_t falling = 0;
    if (cooldown) {
      auto const& length = cooldown->length;
      falling = length.steps      ? *length.steps
                : length.fraction ? detail::round_half_to_even(static_cast<double>(total) * *length.fraction)
                                  : total - warm;
      falling = std::min(falling, total - warm);
    }
    auto const flat = total + 1 - warm - falling;
    if (step < warm) return static_cast<double>(step + 1) / static_cast<double>(warm);
    if (!cooldown || step < warm + flat) return 1;
    auto const fallen = std::min(step + 1 - warm - flat, falling);  // past the end the factor stays where it is
    double const progress = static_cast<double>(fallen) / static_cast<double>(falling);
    double const left = cooldown->shape == CooldownShape::linear ? 1 - progress
                        : cooldown->shape == CooldownShape::sqrt ? 1 - std::sqrt(progress)
                                                                 : 0.5 * (1 + std::cos(std::numbers::pi * progress));
    return cooldown->smallest + (1 - cooldown->smallest) * left;
  };
}
#endif

}  // namespace lierne
