// SPDX-License-Identifier: Apache-2.0
// What a run writes into a checkpoint beside its tensors: named numbers, truths and texts. Sees no LibTorch header.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "lierne/core/error.hpp"

namespace lierne {

/// A fact: what JSON can say in one word, with integers of 64 bits kept whole. A number that is not negative is unsigned.
using Fact = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

namespace detail {

template <class T>
std::string fact_kind() {
  if constexpr (std::same_as<T, bool>) {
    return "true or false";
  } else if constexpr (std::integral<T>) {
    return message(std::signed_integral<T> ? "an integer of " : "an integer from 0 of ", 8 * sizeof(T), " bits");
  } else if constexpr (std::floating_point<T>) {
    return "a number";
  } else {
    return "a text";
  }
}

inline std::string words_of(Fact const& fact) {
  return std::visit(
      [](auto const& value) {
        if constexpr (std::same_as<std::remove_cvref_t<decltype(value)>, std::string>) {
          return "the text '" + value + "'";
        } else {
          return message(value);
        }
      },
      fact);
}

}  // namespace detail

/// Named facts, in the order of their names. Texts are UTF-8.
/// Numerics: every integer of 64 bits, and every double, NaN and infinities too, comes back as it was.
/// Example: `facts.set("seed", 42).set("data.epoch", position.epoch); auto seed = facts.get<std::int64_t>("seed");`
class Facts {
 public:
  /// Sets a fact, in place of one of that name.
  template <class T>
  Facts& set(std::string name, T const& value) {
    if constexpr (std::same_as<T, bool>) {
      values_.insert_or_assign(std::move(name), Fact(value));
    } else if constexpr (std::integral<T>) {
      values_.insert_or_assign(std::move(name), integer(value));
    } else if constexpr (std::floating_point<T>) {
      values_.insert_or_assign(std::move(name), Fact(static_cast<double>(value)));
    } else {
      static_assert(std::convertible_to<T const&, std::string_view>,
                    "Facts::set: a value must be a number, a bool or a text (give each part a fact of its own)");
      values_.insert_or_assign(std::move(name), Fact(std::string(std::string_view(value))));
    }
    return *this;
  }

  /// The value of a fact.
  /// Errors: `FileError` naming the source and the fact: it is not there, is of another kind, or does not fit into T.
  template <class T>
  T get(std::string const& name) const {
    auto const found = values_.find(name);
    check<FileError>(found != values_.end(), source_, ": expected a fact '", name, "', found none of that name among ",
                     values_.size());
    Fact const& fact = found->second;
    if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
      if (auto const* value = std::get_if<T>(&fact)) return *value;
    } else if constexpr (std::integral<T>) {
      if (auto const* value = std::get_if<std::uint64_t>(&fact); value && std::in_range<T>(*value)) return static_cast<T>(*value);
      if (auto const* value = std::get_if<std::int64_t>(&fact); value && std::in_range<T>(*value)) return static_cast<T>(*value);
    } else {
      static_assert(std::same_as<T, double>, "Facts::get: ask for bool, an integer, double or std::string");
      if (auto const* value = std::get_if<double>(&fact)) return *value;
    }
    throw FileError(message(source_, ": fact '", name, "': expected ", detail::fact_kind<T>(), ", found ", detail::words_of(fact)));
  }

  bool contains(std::string const& name) const { return values_.contains(name); }
  std::map<std::string, Fact> const& values() const { return values_; }
  /// What errors name as the place that the facts come from.
  void set_source(std::string source) { source_ = std::move(source); }

  bool operator==(Facts const& other) const { return values_ == other.values_; }

 private:
  static Fact integer(std::integral auto value) {
    if (std::in_range<std::uint64_t>(value)) return static_cast<std::uint64_t>(value);
    return static_cast<std::int64_t>(value);
  }

  std::map<std::string, Fact> values_;
  std::string source_ = "facts";
};

}  // namespace lierne
