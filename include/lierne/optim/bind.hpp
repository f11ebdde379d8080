// SPDX-License-Identifier: Apache-2.0
// Binding a rule: from stages to an optimizer with state.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/optim/groups.hpp"
#include "lierne/optim/kernel/passes.hpp"
#include "lierne/optim/optimizer.hpp"
#include "lierne/optim/schedule.hpp"

#if LIERNE_BODIES
#include "lierne/optim/accumulating_optimizer.hpp"
#include "lierne/optim/grouped_optimizer.hpp"
#endif

namespace lierne {

/// The optimizer of a rule without its type. `bind` calls it.
std::unique_ptr<Optimizer> make_optimizer(std::unique_ptr<Passes const> passes, Schedule schedule, Path path);
std::unique_ptr<Optimizer> make_optimizer(std::unique_ptr<Passes const> passes, Groups groups, Schedule schedule,
                                          Path path);

/// Gives a rule its state and a path. Warns on stderr of a decay of 0.01 or more in the form `times_schedule`.
/// Errors (compile time): those of `check_rule`.
/// Example: `auto optimizer = bind(clip_norm(1.0) | adamw() | decay(0.1, times_rate));`
template <Stage Node>
std::unique_ptr<Optimizer> bind(Node const& rule, Path path = Path::fused) {
  static_assert(check_rule<Node>());
  return make_optimizer(detail::passes_of(rule), {}, path);
}

/// The same with a schedule. Example: `bind(scheduled(adamw(), warmup(200) | cosine_to(0.1)))`.
template <Stage Node>
std::unique_ptr<Optimizer> bind(Scheduled<Node> const& rule, Path path = Path::fused) {
  return make_optimizer(detail::passes_of(rule.rule), rule.schedule, path);
}

/// The same with groups. Example: `bind(grouped(adamw(), groups(on<Kind::norm>({.rate = 2}), otherwise())))`.
template <Stage Node>
std::unique_ptr<Optimizer> bind(Grouped<Node> const& rule, Path path = Path::fused) {
  return make_optimizer(detail::passes_of(rule.rule.rule), rule.groups, rule.rule.schedule, path);
}

#if LIERNE_BODIES
namespace detail {

inline std::unique_ptr<Optimizer> accumulating(std::unique_ptr<Optimizer> rule, Passes const& passes) {
  if (passes.accumulates() < 2) return rule;
  return std::make_unique<AccumulatingOptimizer>(std::move(rule), passes);
}

}  // namespace detail

LIERNE_INLINE std::unique_ptr<Optimizer> make_optimizer(std::unique_ptr<Passes const> passes, Schedule schedule,
                                                        Path path) {
  auto const& known = *passes;
  return detail::accumulating(std::make_unique<RuleOptimizer>(std::move(passes), std::move(schedule), path), known);
}

LIERNE_INLINE std::unique_ptr<Optimizer> make_optimizer(std::unique_ptr<Passes const> passes, Groups groups,
                                                        Schedule schedule, Path path) {
  auto const& known = *passes;
  return detail::accumulating(
      std::make_unique<GroupedOptimizer>(std::move(passes), std::move(groups), schedule, path), known);
}
#endif

}  // namespace lierne
