// SPDX-License-Identifier: Apache-2.0
// A list of module names that can be part of a record.
#pragma once

#include <cstddef>
#include <string_view>

namespace lierne {

/// Names of modules as a structural value, made by `names`. A name stands for every module whose fully qualified name
/// holds it as a run of whole components: `w2` and `feed_forward.w2` for `layers.3.feed_forward.w2`, `layers.3` for all
/// of that layer.
struct ModuleNames {
  static constexpr std::size_t capacity = 256;
  char text[capacity]{};  ///< the names, with commas between them

  constexpr std::string_view view() const { return text; }
  constexpr bool empty() const { return text[0] == 0; }

  /// Whether `name` stands for the module `path`.
  static constexpr bool stands_for(std::string_view name, std::string_view path) {
    for (auto at = path.find(name); at != path.npos; at = path.find(name, at + 1)) {
      auto const end = at + name.size();
      if ((at == 0 || path[at - 1] == '.') && (end == path.size() || path[end] == '.')) return true;
    }
    return false;
  }
  /// Calls `visit(name)` for each name, in the order given.
  template <class Visit>
  constexpr void for_each(Visit visit) const {
    for (auto rest = view(); !rest.empty();) {
      auto const comma = rest.find(',');
      visit(rest.substr(0, comma));
      rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
    }
  }
  /// Whether one of the names stands for the module `path`.
  constexpr bool hold(std::string_view path) const {
    bool found = false;
    for_each([&](std::string_view name) { found = found || stands_for(name, path); });
    return found;
  }
  friend constexpr bool operator==(ModuleNames const&, ModuleNames const&) = default;
};

/// Errors (compile time): an empty name, or more text than a list takes.
/// Example: `names("output", "feed_forward.w2")`; `names()` is the empty list.
template <std::size_t... sizes>
constexpr ModuleNames names(char const (&... name)[sizes]) {
  static_assert(((sizes > 1) && ...), "names: a name must not be empty (names() is the empty list)");
  static_assert((sizes + ... + 0) <= ModuleNames::capacity,
                "names: the names must have 255 characters together, commas included (name an outer module instead)");
  ModuleNames list;
  std::size_t length = 0;
  [[maybe_unused]] auto const append = [&](char const* from, std::size_t count) {
    if (length != 0) list.text[length++] = ',';
    for (std::size_t i = 0; i < count; ++i) list.text[length++] = from[i];
  };
  (append(name, sizes - 1), ...);
  return list;
}

}  // namespace lierne
