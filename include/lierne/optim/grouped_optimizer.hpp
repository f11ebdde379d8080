// SPDX-License-Identifier: Apache-2.0
// The optimizer of a map of groups: every parameter goes to its group's rule, with the group's factors.
#pragma once

#include <set>

#include "lierne/optim/groups.hpp"
#include "lierne/optim/rule_optimizer.hpp"

namespace lierne {

/// One `RuleOptimizer` for each rule of the map, behind the interface of one. `bind` makes it.
class GroupedOptimizer final : public Optimizer {
 public:
  GroupedOptimizer(std::unique_ptr<Passes const> passes, Groups groups, Schedule const& schedule, Path path);

  StepReport step(std::span<Slot const> slots, StepContext const& context) override;
  std::map<std::string, Tensor> state() const override;
  LoadReport load_state(std::map<std::string, Tensor> const& state) override;
  void use_evaluation_weights(std::span<Slot const> slots) override;
  void use_training_weights() override {
    for (auto& rule : rules_) rule.optimizer->use_training_weights();
  }
  bool in_evaluation_form() const override {
    return std::ranges::any_of(rules_, [](auto const& rule) { return rule.optimizer->in_evaluation_form(); });
  }
  double initial_rate() const override { return rules_.front().optimizer->initial_rate(); }
  double rate(StepContext const& context) const override { return rules_.front().optimizer->rate(context); }
  std::vector<Part> parts(std::span<Slot const> slots) override;
  std::string name() const override;

 private:
  struct Rule {
    Passes const* passes;
    std::unique_ptr<RuleOptimizer> optimizer;
    std::vector<Slot> slots{};
  };

  void add_rule(std::unique_ptr<Passes const> passes, Schedule const& schedule, Path path);
  bool sorted(std::span<Slot const> slots) const;
  void sort(std::span<Slot const> slots);
  StepContext scaled(Rule& rule, StepContext context) const;
  std::size_t rule_of_loaded(std::map<std::string, Tensor> const& state) const;

  Groups groups_;
  std::vector<Rule> rules_;                // the first is the one that the groups were given to
  std::vector<std::size_t> rule_of_;       // of each group
  std::vector<Slot> seen_;                 // the slots that are sorted into the rules
  std::vector<std::size_t> rule_of_seen_;
  std::map<std::string, std::size_t> known_;                         // parameters that a rule has
  std::map<std::string, std::map<std::string, Tensor>> waiting_{};   // loaded state of those that none has yet
  bool said_empty_ = false;
};

namespace detail {

// The parameter of a state key: optim.state.<name>.<field>.
inline std::string parameter_of(std::string const& key) {
  std::string_view const prefix = state_prefix;
  auto const dot = key.rfind('.');
  check(key.starts_with(prefix) && dot >= prefix.size(),
        "optimizer: expected a state key 'optim.state.<name>.<field>', found '", key, "'");
  return key.substr(prefix.size(), dot - prefix.size());
}

}  // namespace detail

inline GroupedOptimizer::GroupedOptimizer(std::unique_ptr<Passes const> passes, Groups groups, Schedule const& schedule,
                                          Path path)
    : groups_(std::move(groups)) {
  add_rule(std::move(passes), schedule, path);
  for (auto const& group : groups_.all) {
    rule_of_.push_back(group.rule ? rules_.size() : 0);
    if (group.rule) add_rule(group.rule(), schedule, path);
  }
  for (std::size_t r = 1; r < rules_.size(); ++r) {
    auto const& passes = *rules_[r].passes;
    check(passes.accumulates() == 0 && !passes.unscales(),
          "groups: accumulate and unscale belong in the rule that the groups are given to, found them in '", passes.name(), "'");
  }
}

inline void GroupedOptimizer::add_rule(std::unique_ptr<Passes const> passes, Schedule const& schedule, Path path) {
  auto const* known = passes.get();
  rules_.push_back({known, std::make_unique<RuleOptimizer>(std::move(passes), schedule, path)});
}

// Whether the slots are those of the last step.
inline bool GroupedOptimizer::sorted(std::span<Slot const> slots) const {
  return std::equal(slots.begin(), slots.end(), seen_.begin(), seen_.end(), [](Slot const& a, Slot const& b) {
    return a.name == b.name && a.weight.is_same(b.weight) && a.counted == b.counted && a.multipliers == b.multipliers &&
           a.kind == b.kind && a.shape == b.shape && a.offset == b.offset;
  });
}

inline void GroupedOptimizer::sort(std::span<Slot const> slots) {
  std::vector<std::size_t> group_of, members(groups_.all.size());
  std::set<std::string_view> names;
  for (auto const& slot : slots) {
    check(slot.weight.defined(), "optimizer: '", slot.name, "': its weight is undefined (initialise the model first)");
    check(names.insert(slot.name).second, "optimizer: two slots are named '", slot.name,
          "' (a tied weight is one slot)");
    auto const shape = slot.shape.empty() ? slot.weight.sizes().vec() : slot.shape;
    group_of.push_back(groups_.of({slot.name, shape, kind_of(slot.kind, shape.size())}));
    ++members[group_of.back()];
  }
  for (std::size_t i = 0; i < members.size() && !said_empty_; ++i) {
    if (members[i] > 0 || groups_.all[i].may_be_empty) continue;
    std::fprintf(stderr, "lierne: groups: no parameter is in the group [%s]\n", groups_.all[i].where.words.c_str());
  }
  said_empty_ = true;

  for (auto& rule : rules_) rule.slots.clear();
  rule_of_seen_.clear();
  std::vector<std::map<std::string, Tensor>> arrived(rules_.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    auto const& group = groups_.all[group_of[i]];
    auto const rule = rule_of_[group_of[i]];
    auto slot = slots[i];
    slot.multipliers.rate *= group.multipliers.rate;
    slot.multipliers.decay *= group.multipliers.decay;
    slot.multipliers.epsilon *= group.multipliers.epsilon;
    rules_[rule].slots.push_back(std::move(slot));
    rule_of_seen_.push_back(rule);
    known_[slots[i].name] = rule;
    if (auto const loaded = waiting_.extract(slots[i].name)) arrived[rule].merge(loaded.mapped());
  }
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    if (arrived[r].empty()) continue;
    arrived[r].merge(rules_[r].optimizer->state());
    rules_[r].optimizer->load_state(arrived[r]);
  }
  seen_.assign(slots.begin(), slots.end());
}

inline StepReport GroupedOptimizer::step(std::span<Slot const> slots, StepContext const& context) {
  if (!sorted(slots)) sort(slots);
  auto const& base = *rules_.front().passes;
  detail::check_loss_scale(base, context);
  bool clips = base.unscales();
  for (auto const& rule : rules_) clips |= rule.passes->largest_norm().has_value();
  // Everything is checked before the first rule changes anything.
  std::vector<Tensor> counted;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    auto const& slot = slots[i];
    if (!slot.weight.grad().defined()) continue;
    auto gradient = detail::checked_gradient(slot, *rules_[rule_of_seen_[i]].passes);
    if (slot.counted) counted.push_back(std::move(gradient));
  }
  auto inner = context;
  if ((clips || context.measure_norm || context.accept) && !inner.grad_norm) inner.grad_norm = detail::global_norm(counted, base, context);
  if (base.unscales() && !std::isfinite(*inner.grad_norm)) {
    for (auto const& slot : slots) slot.weight.mutable_grad().reset();
    return {.rate = rate(context), .grad_norm = *inner.grad_norm, .skipped = true};
  }
  if (context.accept && !context.accept(*inner.grad_norm)) {
    return {.rate = rate(context), .grad_norm = *inner.grad_norm, .refused = true};
  }
  inner.accept = {};
  StepReport report;
  std::vector<MonitorBook> books(rules_.size());
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    auto const part = rules_[r].optimizer->step(rules_[r].slots, r == 0 ? inner : scaled(rules_[r], inner), books[r]);
    if (r == 0) report.rate = part.rate;
    report.grad_norm = part.grad_norm;
    report.clipped |= part.clipped;
    report.updated += part.updated;
  }
  auto const* const monitor = rules_.front().passes->monitor();
  if (monitor != nullptr && monitor->due(context.step)) {
    report.metrics = detail::metrics_over_ranks(std::move(books), *monitor, context);
  }
  return report;
}

inline std::vector<Optimizer::Part> GroupedOptimizer::parts(std::span<Slot const> slots) {
  if (!sorted(slots)) sort(slots);
  std::vector<std::size_t> next(rules_.size());
  std::vector<Part> result;
  for (auto const r : rule_of_seen_) result.push_back({rules_[r].optimizer.get(), rules_[r].slots[next[r]++]});
  return result;
}

inline void GroupedOptimizer::use_evaluation_weights(std::span<Slot const> slots) {
  if (!sorted(slots)) sort(slots);
  for (auto& rule : rules_) rule.optimizer->use_evaluation_weights(rule.slots);
}

// The rule of a group has no `accumulate` and `unscale` of its own: its gradients are scaled for it.
inline StepContext GroupedOptimizer::scaled(Rule& rule, StepContext context) const {
  auto const& base = *rules_.front().passes;
  if (!base.unscales() && base.accumulates() == 0) return context;
  NoGrad const no_grad;
  double const factor = 1 / (context.loss_scale * std::max(1, base.accumulates()));
  for (auto const& slot : rule.slots) {
    auto& gradient = slot.weight.mutable_grad();
    if (gradient.defined()) gradient = gradient * factor;
  }
  context.loss_scale = 1;
  return context;
}

inline std::map<std::string, Tensor> GroupedOptimizer::state() const {
  std::map<std::string, Tensor> all;
  for (auto const& rule : rules_) all.merge(rule.optimizer->state());
  for (auto const& [name, state] : waiting_) all.insert(state.begin(), state.end());
  return all;
}

// Which rule a parameter belongs to is known when its slot is seen. Until then the report goes by the rule that keeps
// most of its fields and misses fewest.
inline std::size_t GroupedOptimizer::rule_of_loaded(std::map<std::string, Tensor> const& state) const {
  auto const name = detail::parameter_of(state.begin()->first);
  auto const fit = [&](Rule const& rule) {
    auto const fields = rule.passes->fields();
    auto const kept = std::count_if(fields.begin(), fields.end(), [&](std::string_view field) {
      return state.contains(detail::state_key(name, field));
    });
    return std::pair(kept, -static_cast<std::ptrdiff_t>(fields.size()));
  };
  auto const best =
      std::max_element(rules_.begin(), rules_.end(), [&](auto const& a, auto const& b) { return fit(a) < fit(b); });
  return static_cast<std::size_t>(best - rules_.begin());
}

inline LoadReport GroupedOptimizer::load_state(std::map<std::string, Tensor> const& state) {
  std::map<std::string, std::map<std::string, Tensor>> by_parameter;
  for (auto const& [key, tensor] : state) by_parameter[detail::parameter_of(key)].emplace(key, tensor);
  std::vector<std::map<std::string, Tensor>> of_rule(rules_.size());
  waiting_.clear();
  for (auto const& [name, part] : by_parameter) {
    auto const found = known_.find(name);
    auto const rule = found != known_.end() ? found->second : rule_of_loaded(part);
    of_rule[rule].insert(part.begin(), part.end());
  }
  LoadReport report;
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    auto part = rules_[r].optimizer->load_state(of_rule[r]);
    std::move(part.kept.begin(), part.kept.end(), std::back_inserter(report.kept));
    std::move(part.missing.begin(), part.missing.end(), std::back_inserter(report.missing));
    std::move(part.extra.begin(), part.extra.end(), std::back_inserter(report.extra));
  }
  // What was loaded by a guess waits outside the rules, so that it reaches the right one.
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    std::erase_if(of_rule[r], [&](auto const& entry) {
      auto const name = detail::parameter_of(entry.first);
      if (known_.contains(name)) return false;
      waiting_[name].emplace(entry.first, entry.second.detach().clone());
      return true;
    });
    rules_[r].optimizer->load_state(of_rule[r]);
  }
  return report;
}

inline std::string GroupedOptimizer::name() const {
  auto text = rules_.front().passes->name();
  for (std::size_t i = 0; i < groups_.all.size(); ++i) {
    auto const& group = groups_.all[i];
    text += (i == 0 ? "; groups: [" : ", [") + group.where.words + "]";
    if (rule_of_[i] != 0) text += " " + rules_[rule_of_[i]].passes->name();
    auto const& m = group.multipliers;
    if (m.rate != 1) text += " rate x " + number(m.rate);
    if (m.decay != 1) text += " decay x " + number(m.decay);
    if (m.epsilon != 1) text += " epsilon x " + number(m.epsilon);
  }
  return text;
}

}  // namespace lierne
