// SPDX-License-Identifier: Apache-2.0
// Patterns of names.
#pragma once

#include <cstddef>
#include <string_view>

namespace lierne {

/// Whether the pattern matches the whole text: `*` stands for any run of characters, an empty one too, every other
/// character for itself.
/// Example: `matches_glob("layers.*.w2.weight", "layers.11.feed_forward.w2.weight")`.
constexpr bool matches_glob(std::string_view pattern, std::string_view text) {
  constexpr auto none = std::string_view::npos;
  std::size_t p = 0, t = 0, star = none, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != none) {  // the last star takes one character more: earlier ones never need to
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace lierne
