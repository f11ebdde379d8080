// SPDX-License-Identifier: Apache-2.0
// The axes of a sweep: structures, which the compiler knows, and values, which it does not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "lierne/spec/fits.hpp"
#include "lierne/spec/name.hpp"
#include "lierne/sweep/any_rule.hpp"
#include "lierne/sweep/row.hpp"

namespace lierne {

/// A value that the compiler knows, handed on as a function's argument: `position()` may be a template argument.
template <auto structure>
struct Constant {
  static constexpr auto value = structure;
  constexpr auto operator()() const { return structure; }
};

/// What a cell of a sweep's grid is, apart from what its body makes of it.
struct Cell {
  std::vector<Setting> settings{};
  std::uint64_t seed = 0;      ///< added to the seed of the options
  std::optional<double> rate{};  ///< in place of the rule's
  double rate_factor = 1;
};

namespace detail {

template <class Value>
std::string axis_label(Value const& value) {
  if constexpr (std::is_arithmetic_v<Value>) {
    return number(value);
  } else if constexpr (std::is_convertible_v<Value, std::string_view>) {
    return std::string(std::string_view(value));
  } else if constexpr (is_decoder<Value> || Stage<Value>) {
    return lierne::name(value);
  } else if constexpr (Piece<Value>) {
    return slot_name(value);
  } else {
    static_assert(requires { std::string(value.name()); },
                  "axis: a value must have a name for the table (a number, a text, a record, a rule, or a member name())");
    return std::string(value.name());
  }
}

// `body` with its first value given. The result takes the others, by value, so that a `Constant` stays one.
template <class Body, class Value>
auto bound(Body const& body, Value const& value) {
  return [&body, value](auto... rest) -> decltype(body(std::declval<Value>(), rest...)) { return body(value, rest...); };
}

Cell with_setting(Cell cell, Setting setting);
void check_labels(std::string const& axis, std::vector<std::string> const& labels);

}  // namespace detail

// An axis has `size()` and `each(cell, body, go)`, which calls `go(cell, body)` for each value with the value put into
// the cell, and into the body where it takes one.

/// Alternatives of structure. The body takes a `Constant`. `axis<...>(name)` makes it.
template <auto... structures>
struct StructureAxis {
  std::string name;

  std::size_t size() const { return sizeof...(structures); }
  template <class Body, class Go>
  void each(Cell const& cell, Body const& body, Go const& go) const {
    (go(detail::with_setting(cell, {name, detail::axis_label(structures)}),
        detail::bound(body, Constant<structures>{})), ...);
  }
};

/// Values of one type at run time. The body takes one, and is compiled once for all.
template <class Value>
struct ValueAxis {
  std::string name;
  std::vector<Value> values;
  bool tuned = false;

  std::size_t size() const { return values.size(); }
  template <class Body, class Go>
  void each(Cell const& cell, Body const& body, Go const& go) const {
    for (auto const& value : values) {
      go(detail::with_setting(cell, {name, detail::axis_label(value), tuned}), detail::bound(body, value));
    }
  }
};

/// Values of different types. The body takes one, and is compiled for each type.
template <class... Values>
struct MixedAxis {
  std::string name;
  std::tuple<Values...> values;

  std::size_t size() const { return sizeof...(Values); }
  template <class Body, class Go>
  void each(Cell const& cell, Body const& body, Go const& go) const {
    std::apply([&](auto const&... value) {
      (go(detail::with_setting(cell, {name, detail::axis_label(value)}), detail::bound(body, value)), ...);
    }, values);
  }
};

/// Update rules. The body takes an `AnyRule` and is compiled once for all. A rule with rates of its own (`at_rates`) gives
/// a cell for each. `rules` makes it.
struct RuleAxis {
  std::string name;
  std::vector<AnyRule> rules;

  std::size_t size() const;
  template <class Body, class Go>
  void each(Cell const& cell, Body const& body, Go const& go) const {
    for (auto const& rule : rules) {
      auto const here = detail::with_setting(cell, {name, rule.title});
      if (rule.rates.empty()) go(here, detail::bound(body, rule));
      for (double rate : rule.rates) {
        go(detail::with_setting(here, {"rate", number(rate), true}), detail::bound(body, rule.at(rate)));
      }
    }
  }
};

/// Initial rates that every rule is tried at; the best one of each is reported. The body does not take them.
struct RateAxis {
  std::vector<double> values;
  bool factors = false;  ///< on the rule's own rate, instead of in its place

  std::size_t size() const { return values.size(); }
  template <class Body, class Go>
  void each(Cell const& cell, Body const& body, Go const& go) const {
    for (double value : values) {
      auto next = detail::with_setting(cell, {factors ? "rate factor" : "rate", number(value), true});
      (factors ? next.rate_factor : next.rate.emplace()) = value;
      go(next, body);
    }
  }
};

/// Seeds of the first weights, the same for every variant, so that runs pair. The body does not take them.
struct SeedAxis {
  std::int64_t count = 1;

  std::size_t size() const { return static_cast<std::size_t>(count); }
  template <class Body, class Go>
  void each(Cell const& cell, Body const& body, Go const& go) const {
    for (auto next = cell; next.seed < cell.seed + static_cast<std::uint64_t>(count); ++next.seed) go(next, body);
  }
};

/// Alternatives of structure, as template arguments: records, pieces, plans.
/// Example: `axis<Rope{}, NoPosition{}>("position")`, and in the body `with(base, position())`.
template <auto... structures>
StructureAxis<structures...> axis(std::string name) {
  static_assert(sizeof...(structures) > 0, "axis: it needs a value (write axis<Rope{}, NoPosition{}>(\"position\"))");
  detail::check_labels(name, {detail::axis_label(structures)...});
  return {std::move(name)};
}

/// Update rules by name. Of equal short names those are told apart by the whole rule.
/// Errors: `ArgumentError` for two equal rules, or none.
/// Example: `rules("rule", {adamw(), named("fast", adopt({.rate = 1e-2})), at_rates({1e-4, 3e-4}, lion())})`.
RuleAxis rules(std::string name, std::vector<AnyRule> all);

/// Values at run time. Rules become a `RuleAxis`; other values of one type a `ValueAxis`, of several a `MixedAxis`.
/// Errors: `ArgumentError` for two values of one name.
/// Example: `axis("rule", adamw(), adopt())`, `axis("epsilon", 1e-8, 1e-6)`.
template <class First, class... Values>
auto axis(std::string name, First const& first, Values const&... values) {
  constexpr auto complete = []<class T>(std::type_identity<T>) {
    if constexpr (Stage<T>) return detail::recipe_count<T> > 0;
    else return std::is_convertible_v<T, AnyRule>;
  };
  if constexpr (complete(std::type_identity<First>{}) && (complete(std::type_identity<Values>{}) && ...)) {
    return rules(std::move(name), {AnyRule(first), AnyRule(values)...});
  } else {
    detail::check_labels(name, {detail::axis_label(first), detail::axis_label(values)...});
    if constexpr ((std::is_same_v<First, Values> && ...)) {
      return ValueAxis<First>{std::move(name), {first, values...}};
    } else {
      return MixedAxis<First, Values...>{std::move(name), {first, values...}};
    }
  }
}

/// Numbers at run time. Example: `numbers("epsilon", {1e-8, 1e-6})`.
ValueAxis<double> numbers(std::string name, std::vector<double> values);

/// The axis whose best value, by validation, is reported for each combination of the others.
/// Example: `tuned(numbers("beta2", {0.95, 0.99}))`.
template <class Value>
ValueAxis<Value> tuned(ValueAxis<Value> axis) {
  axis.tuned = true;
  return axis;
}

/// Every rule at each of these initial rates; the best of each rule is reported. Example: `rates({1e-3, 2e-3, 4e-3})`.
RateAxis rates(std::vector<double> values);
/// Every rule at its own initial rate times each of these. Example: `rate_factors({0.5, 1, 2})`.
RateAxis rate_factors(std::vector<double> values);

/// `count` seeds: that of the options and the ones after it. Example: `seeds(3)`.
SeedAxis seeds(std::int64_t count);

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE Cell with_setting(Cell cell, Setting setting) {
  for (auto const& other : cell.settings) {
    check(other.axis != setting.axis, "sweep: two axes are named '", setting.axis, "'");
  }
  cell.settings.push_back(std::move(setting));
  return cell;
}

LIERNE_INLINE void check_labels(std::string const& axis, std::vector<std::string> const& labels) {
  check(!labels.empty(), "axis '", axis, "': expected at least one value, found none");
  for (auto label = labels.begin(); label != labels.end(); ++label) {
    check(std::find(labels.begin(), label, *label) == label, "axis '", axis, "': two values are named '", *label,
          "' (give rules a name: named(\"mine\", rule))");
  }
}

inline RateAxis rate_axis(std::vector<double> values, bool factors) {
  std::vector<std::string> labels;
  for (double value : values) {
    check_rate(value);
    labels.push_back(number(value));
  }
  check_labels(factors ? "rate factor" : "rate", labels);
  return {std::move(values), factors};
}

}  // namespace detail

LIERNE_INLINE std::size_t RuleAxis::size() const {
  std::size_t sum = 0;
  for (auto const& rule : rules) sum += std::max<std::size_t>(1, rule.rates.size());
  return sum;
}

LIERNE_INLINE RuleAxis rules(std::string name, std::vector<AnyRule> all) {
  std::vector<std::string> titles, labels;
  for (auto const& rule : all) titles.push_back(rule.title);
  for (auto& rule : all) {
    if (std::ranges::count(titles, rule.title) > 1) rule.title = rule.name();
    labels.push_back(rule.title);
  }
  detail::check_labels(name, labels);
  return {std::move(name), std::move(all)};
}

LIERNE_INLINE ValueAxis<double> numbers(std::string name, std::vector<double> values) {
  std::vector<std::string> labels;
  for (double value : values) labels.push_back(number(value));
  detail::check_labels(name, labels);
  return {std::move(name), std::move(values)};
}

LIERNE_INLINE RateAxis rates(std::vector<double> values) { return detail::rate_axis(std::move(values), false); }
LIERNE_INLINE RateAxis rate_factors(std::vector<double> values) { return detail::rate_axis(std::move(values), true); }

LIERNE_INLINE SeedAxis seeds(std::int64_t count) {
  check(count >= 1, "seeds: expected at least 1, found ", count);
  return {count};
}
#endif

}  // namespace lierne
