// SPDX-License-Identifier: Apache-2.0
// A string that can be a template argument.
#pragma once

#include <cstddef>
#include <string_view>

namespace lierne {

/// A string literal as a structural value. Example: `field<"width">(512)`.
template <std::size_t size>
struct FixedString {
  char text[size]{};

  // Implicit, so that a literal may stand as a template argument.
  constexpr FixedString(char const (&literal)[size]) {
    for (std::size_t i = 0; i < size; ++i) text[i] = literal[i];
  }
  constexpr std::string_view view() const { return {text, size - 1}; }
  constexpr bool operator==(std::string_view other) const { return view() == other; }
};

}  // namespace lierne
