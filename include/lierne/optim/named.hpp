// SPDX-License-Identifier: Apache-2.0
// A rule with a short name, for lists of rules, tables and the command line.
#pragma once

#include <string>
#include <utility>

#include "lierne/optim/bind.hpp"
#include "lierne/optim/model_groups.hpp"

namespace lierne {

namespace detail {

template <class Rule>
inline constexpr bool has_stages = Stage<Rule>;
template <Stage Node>
inline constexpr bool has_stages<Scheduled<Node>> = true;
template <Stage Node>
inline constexpr bool has_stages<Grouped<Node>> = true;
template <Stage Node>
inline constexpr bool has_stages<GroupedByModel<Node>> = true;

}  // namespace detail

/// Satisfied if and only if `bind` takes `T`: a rule, alone or with its schedule and groups.
template <class T>
concept BindableRule = detail::has_stages<T>;

/// A rule and its name. `named` makes it; a sweep's `AnyRule` is made of it, and so is a list that `--rule` chooses from.
template <BindableRule Rule>
struct Named {
  std::string name;
  Rule rule;
};

/// Gives a rule a short name. (`named` of a text alone is a condition on parameters, see `Where`.)
/// Errors (compile time): those of `check_rule`.
/// Example: `named("adam", decay(0.1, coupled) | adamw())`, `named("adopt", scheduled(adopt(), warmup(200)))`.
template <BindableRule Rule>
Named<Rule> named(std::string name, Rule rule) {
  if constexpr (Stage<Rule>) static_assert(check_rule<Rule>());
  return {std::move(name), std::move(rule)};
}

}  // namespace lierne
