// SPDX-License-Identifier: Apache-2.0
// Numbers as text for names and logs.
#pragma once

#include <charconv>
#include <string>

namespace lierne {

/// The shortest decimal text that reads back as exactly the same double, whatever the locale.
/// Example: `number(5e5)` is `500000`, `number(1e-5)` is `1e-05`.
inline std::string number(double value) {
  char text[32];  // 24 characters are the most that a double takes
  auto const end = std::to_chars(text, text + sizeof text, value, std::chars_format::general).ptr;
  return {text, end};
}

}  // namespace lierne
