// SPDX-License-Identifier: Apache-2.0
// Groups that depend on the model a rule is bound for, so that one rule serves every model it may meet.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lierne/optim/bind.hpp"
#include "lierne/optim/mup.hpp"

namespace lierne {

/// What groups may depend on of a model: numbers, not its type, so that a rule is compiled once for all models.
struct ModelFacts {
  int layers = 0;
  int width = 0;
  int vocab = 0;
  std::optional<MupSettings> mup{};  ///< of a record whose scaling is `MuP`
};

/// The facts of a record. Example: `bind(rule, model_facts(gpt))`.
template <class Record>
  requires requires(Record const& record) { record.scaling, record.width, record.layers, record.vocab; }
ModelFacts model_facts(Record const& record) {
  ModelFacts facts{.layers = record.layers, .width = record.width, .vocab = record.vocab};
  if constexpr (std::same_as<std::remove_cvref_t<decltype(record.scaling)>, MuP>) facts.mup = mup_settings(record);
  return facts;
}

/// Satisfied if and only if a `T` makes groups of a model's facts. No groups at all: every parameter follows the rule.
template <class T>
concept ModelTable = requires(T const& table, ModelFacts const& facts) {
  { table(facts) } -> std::convertible_to<Groups>;
};

/// The table of `mup_groups` without a model: that of the model which the rule is bound for, none for one without `MuP`.
template <DecayForm form>
struct MupGroupsOfModel {
  MupEpsilon epsilon = MupEpsilon::corrected;

  template <Stage Node>
  static consteval bool check_rule() {
    return MupGroups<form>::template check_rule<Node>();
  }
  Groups operator()(ModelFacts const& facts) const {
    if (!facts.mup) return {};
    auto settings = *facts.mup;
    settings.epsilon = epsilon;
    return mup_groups(DecayTag<form>{}, settings).groups;
  }
};

/// The groups of muP and CompleteP for whatever model the rule is bound for. ε is the rule's affair (`kept` for ADOPT), so it
/// stands here. Errors (compile time): those of `mup_groups(form, settings)`.
/// Example: `scheduled(adamw() | decay(0.1, times_rate), warmup(200), mup_groups(times_rate))`.
template <DecayForm form>
MupGroupsOfModel<form> mup_groups(DecayTag<form>, MupEpsilon epsilon = MupEpsilon::corrected) {
  static_assert(form != DecayForm::coupled,
                "mup_groups: the decay must be decoupled (write mup_groups(times_rate) and decay(0.1, times_rate))");
  return {epsilon};
}

/// A rule, its schedule, and a table that makes its groups of the model's facts. `Trainer` takes it, and `bind` with facts.
template <Stage Node>
struct GroupedByModel {
  Scheduled<Node> rule;
  std::function<Groups(ModelFacts const&)> table;
};

namespace detail {

template <Stage Node, ModelTable Table>
void check_table() {
  if constexpr (requires { Table::template check_rule<Node>(); }) static_assert(Table::template check_rule<Node>());
}

}  // namespace detail

/// Joins a rule, its schedule and such a table. Errors (compile time): those of `scheduled`, and of the table.
/// Example: `scheduled(adamw(), warmup(200), [](ModelFacts const& m) { return groups(otherwise({.rate = 256.0 / m.width})); })`.
template <Stage Node, class Given, ModelTable Table>
GroupedByModel<Node> scheduled(Node const& rule, Given const& given, Table const& table) {
  detail::check_table<Node, Table>();
  return {scheduled(rule, given), table};
}
/// The same without a schedule.
template <Stage Node, ModelTable Table>
GroupedByModel<Node> grouped(Node const& rule, Table const& table) {
  static_assert(check_rule<Node>());
  detail::check_table<Node, Table>();
  return {{rule, {}}, table};
}

/// `bind` for a model: a rule's table becomes its groups; other rules are bound as without it.
/// Example: `bind(scheduled(rule, schedule, mup_groups(times_rate)), model_facts(gpt))`.
template <class Rule>
std::unique_ptr<Optimizer> bind(Rule const& rule, ModelFacts const& facts, Path path = Path::fused) {
  if constexpr (requires { rule.table(facts); rule.rule.schedule; }) {
    Groups groups = rule.table(facts);
    if (groups.all.empty()) return bind(rule.rule, path);
    return make_optimizer(detail::passes_of(rule.rule.rule), std::move(groups), rule.rule.schedule, path);
  } else {
    return bind(rule, path);
  }
}

}  // namespace lierne
