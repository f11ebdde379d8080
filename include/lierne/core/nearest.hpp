// SPDX-License-Identifier: Apache-2.0
// The name that somebody may have meant: what an error adds to a name that nothing knows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lierne {

/// How many letters are to be inserted, removed, replaced or swapped with their neighbour to turn one text into the other.
/// Math: the optimal string alignment distance; no part is edited twice.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (std::size_t k = 0; k <= b.size(); ++k) above[k] = k;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t k = 1; k <= b.size(); ++k) {
      row[k] = std::min({above[k] + 1, row[k - 1] + 1, above[k - 1] + (a[i - 1] != b[k - 1])});
      if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]) row[k] = std::min(row[k], before[k - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above[b.size()];
}

/// The known name with the least distance from `name`, the first among equals; empty without known names.
/// Example: `nearest("stpes", std::vector<std::string>{"seed", "steps"})` is `steps`.
inline std::string nearest(std::string_view name, std::span<std::string const> known) {
  auto const found = std::ranges::min_element(known, {}, [&](std::string const& one) { return edit_distance(name, one); });
  return found == known.end() ? std::string() : *found;
}

/// What an error says behind an unknown name: ` (did you mean 'steps'?)`; nothing without known names.
inline std::string did_you_mean(std::string_view name, std::span<std::string const> known) {
  return known.empty() ? std::string() : " (did you mean '" + nearest(name, known) + "'?)";
}

}  // namespace lierne
