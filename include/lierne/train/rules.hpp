// SPDX-License-Identifier: Apache-2.0
// The update rules compiled into a program, of which `--rule` chooses one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lierne/optim/named.hpp"
#include "lierne/train/choice.hpp"
#include "lierne/train/options.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#endif

namespace lierne {

namespace detail {

/// A rule of the list without its type.
struct ListedRule {
  Choice::Entry entry;
  std::function<std::unique_ptr<Optimizer>(ModelFacts const&, Path)> bind;
  bool has_groups = false;
};

template <class Rule>
inline constexpr bool groups_parameters = requires(Rule const& rule) { rule.rule.schedule; };
template <class Rule>
auto const& stages_of(Rule const& rule) {
  if constexpr (Stage<Rule>) return rule;
  else return stages_of(rule.rule);
}

template <class T>
inline constexpr bool is_named = false;
template <class Rule>
inline constexpr bool is_named<Named<Rule>> = true;

template <class Rule>
ListedRule listed(Named<Rule> const& named) {
  return {{named.name, lierne::name(stages_of(named.rule))},
          [rule = named.rule](ModelFacts const& facts, Path path) { return lierne::bind(rule, facts, path); },
          groups_parameters<Rule>};
}

}  // namespace detail

/// Update rules by name. `rules` makes it; `Options::parse` adds `--rule`, and `Trainer` binds the chosen rule.
class Rules : public Choice {
 public:
  explicit Rules(std::vector<detail::ListedRule> all);

  /// The optimizer of the rule that the options name, the first where they name none, for a model.
  /// Errors: `ArgumentError`, see `Choice::find`; and for a rule without groups and a model under muP, whose rates hold for
  /// no other width without them.
  std::unique_ptr<Optimizer> bind(Options const& options, ModelFacts const& facts) const;

 private:
  std::vector<detail::ListedRule> all_;
};

/// Joins rules with their names, schedules and groups into a list. Each is compiled once, whatever the number of models.
/// Errors: `ArgumentError` for two of one name. Compile time: none, or a rule without a name.
/// Example: `rules(named("adamw", scheduled(adamw(), warmup(200), mup_groups(times_rate))), named("lion", lion()))`.
template <class... All>
  requires(detail::is_named<All> && ...)
Rules rules(All const&... all) {
  static_assert(sizeof...(All) > 0, "rules: it needs a rule (write rules(named(\"adamw\", adamw())))");
  std::vector<detail::ListedRule> list;
  list.reserve(sizeof...(All));
  (list.push_back(detail::listed(all)), ...);
  return Rules(std::move(list));
}

/// Refuses rules without names, by a message.
template <class... All>
  requires(((BindableRule<All> || detail::is_named<All>) && ...) && (BindableRule<All> || ...))
Rules rules(All const&...) {
  static_assert((detail::is_named<All> && ...), "rules: each rule needs a name (write rules(named(\"adamw\", adamw())))");
  return Rules(std::vector<detail::ListedRule>{});
}

#if LIERNE_BODIES
LIERNE_INLINE Rules::Rules(std::vector<detail::ListedRule> all)
    : Choice("rule", &Options::rule, "rules", "update rule", detail::entries_of(all)), all_(std::move(all)) {}

LIERNE_INLINE std::unique_ptr<Optimizer> Rules::bind(Options const& options, ModelFacts const& facts) const {
  auto const& chosen = all_[find(options.rule)];
  check(chosen.has_groups || !facts.mup, "options: rule: '", chosen.entry.name, "' has no groups, which a model under muP needs "
        "(give it mup_groups(times_rate), or groups(otherwise()) for one rate everywhere)");
  return chosen.bind(facts, options.require_fused ? Path::fused_only : Path::fused);
}
#endif

}  // namespace lierne
