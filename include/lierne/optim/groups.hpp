// SPDX-License-Identifier: Apache-2.0
// Groups: a map from parameters to factors on a rule's settings, or to a rule of their own.
#pragma once

#include <algorithm>
#include <cstdio>
#include <memory>

#include "lierne/optim/decay.hpp"
#include "lierne/optim/kernel/passes.hpp"
#include "lierne/optim/schedule.hpp"
#include "lierne/optim/where.hpp"

namespace lierne {

namespace detail {

// Says once for an optimizer that a decay of the form times_schedule is stronger than it looks.
void warn_of_decay(double times_schedule);

template <Stage Node>
std::unique_ptr<Passes const> passes_of(Node const& rule) {
  warn_of_decay(decay_times_schedule(rule));
  return make_passes(rule);
}

}  // namespace detail

/// One entry of the map. `on` and `otherwise` make it.
struct ParameterGroup {
  Where where;                ///< without a condition: what no other group takes
  Multipliers multipliers{};  ///< on rate, decay and epsilon of the group's rule
  std::function<std::unique_ptr<Passes const>()> rule{};  ///< absent: the rule that the groups are given to
  bool may_be_empty = false;  ///< no word of it when no parameter is in it
};

/// Parameters that meet a condition, and the factors on their rate, decay and epsilon.
/// Example: `on(named("*.wq.weight"), {.rate = 0.5})`.
inline ParameterGroup on(Where condition, Multipliers multipliers) { return {std::move(condition), multipliers}; }

/// Parameters that meet a condition follow a rule of their own. The schedule's factor multiplies its rate too. It clips
/// only if it begins with `clip_norm`; the norm is that of all gradients, of every group. Its
/// parameters are in the metrics of the monitor that the rule of the groups ends in if it ends in one of that interval.
/// Errors (compile time): those of `check_rule`.
template <Stage Node>
ParameterGroup on(Where condition, Node const& rule, Multipliers multipliers = {}) {
  static_assert(check_rule<Node>());
  return {std::move(condition), multipliers,
          [rule] { return detail::passes_of(rule); }};
}

namespace detail {

template <Kind... kinds>
Where of_kinds() {
  static_assert(sizeof...(kinds) > 0, "on: a group needs a kind or a condition (write on<Kind::norm>({.decay = 0}))");
  return (of_kind(kinds) || ...);
}

}  // namespace detail

/// The same for parameters of a kind, or of any of several.
/// Example: `on<Kind::norm, Kind::vector>({.decay = 0})`, `on<Kind::matrix>(lion({.rate = 1e-4}))`.
template <Kind... kinds>
ParameterGroup on(Multipliers multipliers) {
  return on(detail::of_kinds<kinds...>(), multipliers);
}
template <Kind... kinds, Stage Node>
ParameterGroup on(Node const& rule, Multipliers multipliers = {}) {
  return on(detail::of_kinds<kinds...>(), rule, multipliers);
}

/// Every parameter that no other group takes. Example: `otherwise()`, `otherwise({.rate = 0.5})`.
inline ParameterGroup otherwise(Multipliers multipliers = {}) {
  return {{"otherwise", nullptr}, multipliers, {}, true};
}

/// A map from parameters to factors or rules. A parameter must be in exactly one group.
struct Groups {
  std::vector<ParameterGroup> all;

  /// The group of a parameter. Errors: `ArgumentError` that names a parameter in no group or in two, and the groups.
  std::size_t of(ParameterInfo const& parameter) const;
};

namespace detail {
void check_groups(Groups const& groups);
}

/// Joins groups into a map. Errors: `ArgumentError` for two `otherwise`.
/// Example: `groups(on<Kind::embedding>({.rate = 2}), on<Kind::norm>({.decay = 0}), otherwise())`.
template <std::same_as<ParameterGroup>... Members>
Groups groups(Members... members) {
  static_assert(sizeof...(Members) > 0,
                "groups: it needs a group (write groups(on<Kind::norm>({.decay = 0}), otherwise()))");
  Groups joined{{std::move(members)...}};
  detail::check_groups(joined);
  return joined;
}

/// A rule, its schedule, and the groups of the parameters that it updates. `bind` and `Trainer` take it.
template <Stage Node>
struct Grouped {
  Scheduled<Node> rule;
  Groups groups;
};

namespace detail {

// A table that holds for some rules only checks the rule by `check_rule<Node>()`.
template <class Table, Stage Node>
Groups groups_for(Table const& table) {
  if constexpr (std::same_as<Table, Groups>) {
    return table;
  } else {
    static_assert(requires { Table::template check_rule<Node>(); },
                  "scheduled: the groups must be a map of groups "
                  "(write groups(on<Kind::norm>({.decay = 0}), otherwise()))");
    static_assert(Table::template check_rule<Node>());
    return table.groups;
  }
}

}  // namespace detail

/// Joins a rule, its schedule and groups. Errors (compile time): those of `scheduled`, and of the table (`mup_groups`).
/// Example: `scheduled(adamw(), warmup(200), groups(on<Kind::norm>({.rate = 2}), otherwise()))`.
template <Stage Node, class Given, class Table>
Grouped<Node> scheduled(Node const& rule, Given const& given, Table const& groups) {
  return {scheduled(rule, given), detail::groups_for<Table, Node>(groups)};
}

/// The same without a schedule. Example: `grouped(adamw(), groups(on<Kind::norm>({.rate = 2}), otherwise()))`.
template <Stage Node, class Table>
Grouped<Node> grouped(Node const& rule, Table const& groups) {
  static_assert(check_rule<Node>());
  return {{rule, {}}, detail::groups_for<Table, Node>(groups)};
}

#if LIERNE_BODIES
namespace detail {

inline std::string words_of(Groups const& groups) {
  std::string words;
  for (auto const& group : groups.all) words += (words.empty() ? "[" : "] [") + group.where.words;
  return words + "]";
}

LIERNE_INLINE void warn_of_decay(double times_schedule) {
  if (times_schedule < 0.01) return;
  auto const share = number(times_schedule);
  std::fprintf(stderr, "lierne: decay(%s, times_schedule) takes %s of every weight away in each step at the full rate "
               "(write times_rate, or less than 0.01)\n", share.c_str(), share.c_str());
}

LIERNE_INLINE void check_groups(Groups const& groups) {
  auto const rests = std::count_if(groups.all.begin(), groups.all.end(), [](auto const& g) { return !g.where.holds; });
  check(rests < 2, "groups: expected one otherwise() at most, found ", rests);
}

}  // namespace detail

LIERNE_INLINE std::size_t Groups::of(ParameterInfo const& parameter) const {
  auto const none = all.size();
  std::size_t found = none, rest = none;
  auto const what = [&] {
    return "groups: '" + parameter.name + "' (" + to_string(parameter.kind) + " " + lierne::to_string(parameter.shape) + ")";
  };
  for (std::size_t i = 0; i < none; ++i) {
    if (!all[i].where.holds) {
      rest = i;
    } else if (all[i].where.holds(parameter)) {
      if (found != none) {
        throw ArgumentError(message(what(), " is in two groups, [", all[found].where.words, "] and [", all[i].where.words,
                                    "] (a parameter belongs to one)"));
      }
      found = i;
    }
  }
  if (found == none) found = rest;
  if (found == none) {
    throw ArgumentError(message(what(), " is in none of the groups ", detail::words_of(*this),
                                " (add otherwise() for the rest)"));
  }
  return found;
}
#endif

}  // namespace lierne
