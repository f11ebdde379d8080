// SPDX-License-Identifier: Apache-2.0
// A list of names compiled into a program, of which an option chooses one at launch.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/core/nearest.hpp"
#endif

namespace lierne {

struct Options;

/// What a person may choose from by name. The first entry is the default. `presets` and `rules` make the two that there are.
class Choice {
 public:
  struct Entry {
    std::string name;
    std::string meaning;  ///< one line
  };

  /// `field`: the option that holds the chosen name. `list`: the call that errors name, as in `presets`.
  /// Errors: `ArgumentError` for no entry, an empty name, or two entries of one name.
  Choice(std::string option, std::string Options::*field, std::string list, std::string meaning, std::vector<Entry> entries);

  std::string const& option() const { return option_; }
  std::string Options::*field() const { return field_; }
  std::vector<Entry> const& entries() const { return entries_; }
  std::string const& default_name() const { return entries_.front().name; }

  /// The place of an entry; of the first where `name` is empty.
  /// Errors: `ArgumentError` with all names, the one that was found, and the nearest known one.
  std::size_t find(std::string_view name) const;
  /// What `find` says of an unknown name, without the option's; empty for a name that is known.
  std::string refusal(std::string_view name) const;
  /// What `--help` prints: every name and its meaning, a line each.
  std::string help() const;

 private:
  std::string option_;
  std::string Options::*field_;
  std::string meaning_;
  std::vector<Entry> entries_;
};

namespace detail {

template <class Listed>
std::vector<Choice::Entry> entries_of(std::vector<Listed> const& all) {
  std::vector<Choice::Entry> entries;
  for (auto const& one : all) entries.push_back(one.entry);
  return entries;
}

}  // namespace detail

#if LIERNE_BODIES
LIERNE_INLINE Choice::Choice(std::string option, std::string Options::*field, std::string list, std::string meaning,
                             std::vector<Entry> entries)
    : option_(std::move(option)), field_(field), meaning_(std::move(meaning)), entries_(std::move(entries)) {
  check(!entries_.empty(), list, ": expected at least one entry, found none");
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    check(!entry->name.empty(), list, ": expected a name for each entry, found an empty one (", entry->meaning, ")");
    check(std::ranges::find(entries_.begin(), entry, entry->name, &Entry::name) == entry, list, ": two entries are named '",
          entry->name, "' (give each a name of its own)");
  }
}

LIERNE_INLINE std::string Choice::refusal(std::string_view name) const {
  std::vector<std::string> names;
  std::string all;
  for (auto const& entry : entries_) {
    if (entry.name == name) return {};
    all += (names.empty() ? "" : ", ") + entry.name;
    names.push_back(entry.name);
  }
  return message("expected ", names.size() > 1 ? "one of " : "", all, ", found '", name, "'", did_you_mean(name, names));
}

LIERNE_INLINE std::size_t Choice::find(std::string_view name) const {
  if (name.empty()) return 0;
  auto const found = std::ranges::find(entries_, name, &Entry::name);
  if (found == entries_.end()) throw ArgumentError(message("options: ", option_, ": ", refusal(name)));
  return static_cast<std::size_t>(found - entries_.begin());
}

LIERNE_INLINE std::string Choice::help() const {
  auto text = meaning_ + (entries_.size() > 1 ? ", one of" : ":");
  for (auto const& entry : entries_) text += "\n  " + entry.name + ": " + entry.meaning;
  return text;
}
#endif

}  // namespace lierne
