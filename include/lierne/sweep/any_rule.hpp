// SPDX-License-Identifier: Apache-2.0
// A rule of a sweep: every rule in one type, so that what a sweep does with rules is compiled once for all of them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/bind.hpp"
#include "lierne/optim/named.hpp"
#include "lierne/sweep/rule_chain.hpp"

#if LIERNE_BODIES
#include "lierne/core/error.hpp"
#include "lierne/sweep/row.hpp"
#endif

namespace lierne {

/// Any complete rule, with its schedule where it has one. Stages join it from both sides by `|`.
/// Numerics: bit for bit the rule that it was made of.
/// Example: `AnyRule rule = adamw({.rate = 1e-3}); auto optimizer = bind(clip_norm(1.0) | rule.at(2e-3));`
class AnyRule {
 public:
  /// Errors (compile time): those of `check_rule`.
  template <Stage Node>
  AnyRule(Node const& rule) : AnyRule() {  // implicit: lists of rules
    static_assert(check_rule<Node>());
    detail::append_stages(chain, rule);
    take_title();
  }
  template <Stage Node>
  AnyRule(Scheduled<Node> const& rule) : AnyRule(rule.rule) { schedule = rule.schedule; }
  template <Stage Node>
  AnyRule(Grouped<Node> const& rule) : AnyRule(rule.rule) { groups = rule.groups; }
  /// Groups of the model wait for it: `trial` gives it.
  template <Stage Node>
  AnyRule(GroupedByModel<Node> const& rule) : AnyRule(rule.rule) { table = rule.table; }
  template <BindableRule Rule>
  AnyRule(Named<Rule> const& rule) : AnyRule(rule.rule) { title = rule.name; }

  AnyRule(AnyRule const&);
  AnyRule(AnyRule&&) noexcept;
  AnyRule& operator=(AnyRule const&);
  AnyRule& operator=(AnyRule&&) noexcept;
  ~AnyRule();

  /// The same rule at another initial rate. Errors: `ArgumentError` for a rate that is not positive and finite.
  AnyRule at(double rate) const;

  double rate() const { return chain.rate; }
  /// The rule in one line, with its settings.
  std::string name() const { return chain.name(); }
  /// A number that differs for rules whose names, fields, or uniform numbers or rates in a run of `steps` do.
  std::uint64_t fingerprint(std::int64_t steps) const;

  RuleChain chain;
  Schedule schedule{};
  Groups groups{};                ///< without any: all parameters follow the rule
  std::function<Groups(ModelFacts const&)> table{};  ///< makes the groups of a model
  std::string title;              ///< a short name: the recipe's, or what `named` gave
  std::vector<double> rates{};    ///< to try in a sweep, in place of the rule's own; see `at_rates`

 private:
  AnyRule();
  void take_title();
};

/// Gives a rule a short name for tables, as `named` of the rule that it is made of does.
AnyRule named(std::string title, AnyRule rule);

/// Gives a rule the rates that a sweep tries; the best one by validation is reported.
/// Errors: `ArgumentError` for no rate, or one that is not positive and finite.
/// Example: `at_rates({1e-3, 2e-3, 4e-3}, adamw())`.
AnyRule at_rates(std::vector<double> rates, AnyRule rule);

/// The rule with its table, if it has one, replaced by the groups of a model.
AnyRule for_model(AnyRule rule, ModelFacts const& facts);

/// Gives the rule its state and a path. Errors: `ArgumentError` for a table without its model.
std::unique_ptr<Optimizer> bind(AnyRule const& rule, Path path = Path::fused);
std::unique_ptr<Optimizer> bind(AnyRule const& rule, ModelFacts const& facts, Path path = Path::fused);

/// Joins the rule and a schedule, in place of one that it has.
template <class Given>
AnyRule scheduled(AnyRule rule, Given const& given) {
  if constexpr (ScheduleParts<Given>) {
    rule.schedule = schedule(given);
  } else {
    static_assert(std::is_convertible_v<Given, Schedule>,
                  "scheduled: the schedule must be a pipe of parts or a function (write warmup(200) | cosine_to(0.1))");
    rule.schedule = given;
  }
  return rule;
}
/// The same with groups. Example: `scheduled(rule, warmup(200), groups(on<Kind::norm>({.decay = 0}), otherwise()))`.
template <class Given>
AnyRule scheduled(AnyRule rule, Given const& given, Groups groups) {
  rule.groups = std::move(groups);
  return scheduled(std::move(rule), given);
}

/// A stage before or behind a rule. Errors (compile time): a recipe, or a stage that may not stand there; run time:
/// `ArgumentError` for a field that the rule has, or a stage before `clip_norm`.
template <Stage S>
AnyRule operator|(S const& stage, AnyRule rule) {
  static_assert(detail::recipe_count<S> == 0, "rule: it may have one recipe only, and the right side has one already");
  detail::check_places<S, Place::before_recipe, true>();
  RuleChain before;
  detail::append_stages(before, stage);
  rule.chain.entries.insert(rule.chain.entries.begin(), before.entries.begin(), before.entries.end());
  rule.chain.check_places();
  return rule;
}
template <Stage S>
AnyRule operator|(AnyRule rule, S const& stage) {
  static_assert(detail::recipe_count<S> == 0, "rule: it may have one recipe only, and the left side has one already");
  detail::check_places<S, Place::after_recipe, false>();
  detail::append_stages(rule.chain, stage);
  rule.chain.check_places();
  return rule;
}

#if LIERNE_BODIES
namespace detail {

inline void check_rate(double rate) {
  check(rate > 0 && std::isfinite(rate), "rule: expected a rate above 0 and finite, found ", rate);
}

}  // namespace detail

LIERNE_INLINE AnyRule::AnyRule() = default;
LIERNE_INLINE AnyRule::AnyRule(AnyRule const&) = default;
LIERNE_INLINE AnyRule::AnyRule(AnyRule&&) noexcept = default;
LIERNE_INLINE AnyRule& AnyRule::operator=(AnyRule const&) = default;
LIERNE_INLINE AnyRule& AnyRule::operator=(AnyRule&&) noexcept = default;
LIERNE_INLINE AnyRule::~AnyRule() = default;

LIERNE_INLINE void AnyRule::take_title() {
  for (auto const& entry : chain.entries) {
    if (entry.begins_recipe) title = entry.title;
  }
}

LIERNE_INLINE AnyRule AnyRule::at(double rate) const {
  detail::check_rate(rate);
  auto other = *this;
  other.chain.rate = rate;
  return other;
}

LIERNE_INLINE std::uint64_t AnyRule::fingerprint(std::int64_t steps) const {
  auto const passes = make_passes(chain);
  auto h = hash(passes->name());
  auto const mix = [&h](double number) { h = hash({reinterpret_cast<char const*>(&number), sizeof number}, h); };
  for (auto field : passes->fields()) h = hash(field, hash("/", h));
  // A stage of one's own may have no name; its settings show in its numbers.
  std::vector<double> numbers(passes->number_count());
  for (std::int64_t calls : {0, 1, 10, 1000}) {
    for (double factor : {1.0, 0.5}) {
      std::vector<double> carried(passes->carried().size());
      passes->write_numbers({.calls = calls, .rate = factor * chain.rate, .factor = factor, .norm = 2}, numbers.data(),
                            carried.data());
      for (double number : numbers) mix(number);
    }
  }
  for (auto const& group : groups.all) {
    h = hash(group.where.words, hash("/", h));
    for (double factor : {group.multipliers.rate, group.multipliers.decay, group.multipliers.epsilon}) mix(factor);
    if (group.rule) h = hash(group.rule()->name(), h);
  }
  if (schedule) {
    for (std::int64_t k = 0; k < steps; ++k) mix(schedule(k, steps));
  }
  return h;
}

LIERNE_INLINE AnyRule named(std::string title, AnyRule rule) {
  rule.title = std::move(title);
  return rule;
}

LIERNE_INLINE AnyRule at_rates(std::vector<double> rates, AnyRule rule) {
  check(!rates.empty(), "at_rates: expected at least one rate for ", rule.title, ", found none");
  for (double rate : rates) detail::check_rate(rate);
  rule.rates = std::move(rates);
  return rule;
}

LIERNE_INLINE AnyRule for_model(AnyRule rule, ModelFacts const& facts) {
  if (rule.table) rule.groups = std::exchange(rule.table, nullptr)(facts);
  return rule;
}

LIERNE_INLINE std::unique_ptr<Optimizer> bind(AnyRule const& rule, Path path) {
  check(!rule.table, "bind: the groups of rule '", rule.title, "' depend on the model (write bind(rule, model_facts(gpt)))");
  if (rule.groups.all.empty()) return make_optimizer(make_passes(rule.chain), rule.schedule, path);
  return make_optimizer(make_passes(rule.chain), rule.groups, rule.schedule, path);
}

LIERNE_INLINE std::unique_ptr<Optimizer> bind(AnyRule const& rule, ModelFacts const& facts, Path path) {
  return bind(for_model(rule, facts), path);
}
#endif

}  // namespace lierne
