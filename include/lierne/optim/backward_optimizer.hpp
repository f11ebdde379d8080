// SPDX-License-Identifier: Apache-2.0
// Steps inside the backward pass: each parameter moves as soon as its gradient is complete, and the gradient is gone.
#pragma once

#include <deque>
#include <mutex>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/bind.hpp"
#include "lierne/tensor/gradient_hook.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <utility>

#include "lierne/optim/kernel/norm.hpp"
#endif

namespace lierne {

/// A rule that steps in the backward pass, so that hardly more than one gradient lives at a time. `bind_in_backward`
/// makes it. Backward passes outside `begin` and `end` add to gradients as ever: of several micro-batches the last goes
/// inside.
/// Numerics: bit for bit the steps of `bind`.
/// Example: `optimizer->begin({.step = k, .total = steps}); backward(loss); auto report = optimizer->end();`
class BackwardOptimizer {
 public:
  BackwardOptimizer(std::unique_ptr<Optimizer> rule, std::vector<Slot> slots);
  /// The same with a rule that outlives it.
  BackwardOptimizer(Optimizer& rule, std::vector<Slot> slots);
  BackwardOptimizer(BackwardOptimizer const&) = delete;

  /// From here to `end` a gradient that is complete moves its parameter. With `measure_norm` the report of `end` has the norm of
  /// the gradients: it is known when all have gone.
  /// Errors: `ArgumentError` for a context that needs the norm before, or sums over ranks (a backward pass leaves the
  /// gradient of this rank alone in a replica), and for a second `begin`.
  void begin(StepContext const& context);
  /// Moves the parameters whose gradients came before `begin` alone, and ends the step. Errors: `ArgumentError` without
  /// `begin`.
  StepReport end();

  /// The rule with its state: to save, load and judge, between steps.
  Optimizer& optimizer() { return *rule_; }
  std::span<Slot const> slots() const { return slots_; }

 private:
  void gradient_complete(std::size_t index);

  std::unique_ptr<Optimizer> owned_{};
  Optimizer* rule_;
  std::vector<Slot> slots_;
  std::vector<Optimizer::Part> parts_;
  std::mutex mutex_;  // weights on several devices have a thread each
  std::optional<StepContext> context_;
  StepReport report_;
  bool measures_ = false;
  double squares_ = 0;  // of the gradients so far, where they are measured
  std::vector<bool> moved_;
  std::deque<GradientHook> hooks_;
};

namespace detail {

// What every stage says to a step in the backward pass.
template <class Node>
consteval bool check_in_backward() {
  if constexpr (PipeNode<Node>) {
    return check_in_backward<decltype(Node::left)>() && check_in_backward<decltype(Node::right)>();
  } else if constexpr (requires { Node::template check_in_backward<true>(); }) {
    Node::template check_in_backward<true>();
  } else {
    static_assert(!PhaseBoundary<Node>,
                  "bind_in_backward: this function's argument is a stage that needs all gradients before the first "
                  "parameter moves (leave it out, or use bind)");
  }
  return true;
}

// Of the rules of groups, whose types are erased.
void check_groups_in_backward(Groups const& groups);

}  // namespace detail

/// Binds a rule to the backward pass of the slots' weights, which are leaves that require gradients.
/// Errors (compile time): those of `check_rule`; a stage that needs all gradients first (`clip_norm`) or sums over all
/// parameters (`monitor`), which is named. Run time: `ArgumentError` for such a rule in a group.
/// Example: `auto optimizer = bind_in_backward(scheduled(adamw(), warmup(200)), slots);`
template <Stage Node>
std::unique_ptr<BackwardOptimizer> bind_in_backward(Node const& rule, std::vector<Slot> slots,
                                                    Path path = Path::fused) {
  static_assert(detail::check_in_backward<Node>());
  return std::make_unique<BackwardOptimizer>(bind(rule, path), std::move(slots));
}
template <Stage Node>
std::unique_ptr<BackwardOptimizer> bind_in_backward(Scheduled<Node> const& rule, std::vector<Slot> slots,
                                                    Path path = Path::fused) {
  static_assert(detail::check_in_backward<Node>());
  return std::make_unique<BackwardOptimizer>(bind(rule, path), std::move(slots));
}
template <Stage Node>
std::unique_ptr<BackwardOptimizer> bind_in_backward(Grouped<Node> const& rule, std::vector<Slot> slots,
                                                    Path path = Path::fused) {
  static_assert(detail::check_in_backward<Node>());
  detail::check_groups_in_backward(rule.groups);
  return std::make_unique<BackwardOptimizer>(bind(rule, path), std::move(slots));
}

/// A rule that a `Trainer` steps in the backward pass. `in_backward` makes it.
template <class Rule>
struct InBackward {
  Rule rule;
};

/// Marks a rule, with its schedule and groups: a trainer shall step it in the backward pass, so that hardly more than one
/// gradient lives at a time. Errors: those of `bind_in_backward`.
/// Example: `Trainer trainer{Model<gpt>{}, in_backward(scheduled(adamw(), warmup(200))), options};`
template <Stage Node>
InBackward<Node> in_backward(Node const& rule) {
  static_assert(detail::check_in_backward<Node>());
  return {rule};
}
template <Stage Node>
InBackward<Scheduled<Node>> in_backward(Scheduled<Node> const& rule) {
  static_assert(detail::check_in_backward<Node>());
  return {rule};
}
template <Stage Node>
InBackward<Grouped<Node>> in_backward(Grouped<Node> const& rule) {
  static_assert(detail::check_in_backward<Node>());
  detail::check_groups_in_backward(rule.groups);
  return {rule};
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE void check_groups_in_backward(Groups const& groups) {
  for (auto const& group : groups.all) {
    if (!group.rule) continue;
    auto const passes = group.rule();
    check(!passes->phase_boundary() && passes->monitor() == nullptr, "bind_in_backward: the rule '", passes->name(),
          "' of the group [", group.where.words, "] needs all gradients before the first parameter moves");
  }
}

}  // namespace detail

LIERNE_INLINE BackwardOptimizer::BackwardOptimizer(std::unique_ptr<Optimizer> rule, std::vector<Slot> slots)
    : BackwardOptimizer(*rule, std::move(slots)) {
  owned_ = std::move(rule);
}

LIERNE_INLINE BackwardOptimizer::BackwardOptimizer(Optimizer& rule, std::vector<Slot> slots)
    : rule_(&rule), slots_(std::move(slots)), parts_(rule_->parts(slots_)), moved_(slots_.size()) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    hooks_.emplace_back(slots_[i].weight, [this, i] { gradient_complete(i); });
  }
}

LIERNE_INLINE void BackwardOptimizer::begin(StepContext const& context) {
  check(!context_, "optimizer: begin: expected end() after the last begin, found a second begin");
  check(!context.grad_norm && !context.accept && !context.sum_over_ranks && !context.reduce_over_ranks,
        "optimizer: begin: a step in the backward pass has no gradient norm before its end and no sums over ranks "
        "(leave grad_norm, accept, sum_over_ranks and reduce_over_ranks out, or use bind)");
  context_ = context;
  measures_ = std::exchange(context_->measure_norm, false);
  squares_ = 0;
  report_ = {.rate = rule_->rate(context)};
  moved_.assign(slots_.size(), false);
}

LIERNE_INLINE void BackwardOptimizer::gradient_complete(std::size_t index) {
  std::lock_guard const one_at_a_time(mutex_);
  if (!context_) return;
  auto const& part = parts_[index];
  check(!moved_[index], "optimizer: '", part.slot.name,
        "': expected one backward pass between begin and end, found a second");
  moved_[index] = true;
  if (measures_) squares_ += sum_of_squares(std::span(&slots_[index].weight.grad(), 1));
  report_.updated += part.rule->step(std::span(&part.slot, 1), *context_).updated;
}

LIERNE_INLINE StepReport BackwardOptimizer::end() {
  check(context_.has_value(), "optimizer: end: expected begin() before it, found none");
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!moved_[i] && slots_[i].weight.grad().defined()) gradient_complete(i);
  }
  context_.reset();
  if (measures_) report_.grad_norm = std::sqrt(squares_);
  return report_;
}
#endif

}  // namespace lierne
