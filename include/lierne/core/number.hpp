// SPDX-License-Identifier: Apache-2.0
// Numbers as text for names and logs.
#pragma once

#include <charconv>
#include <string>
#include <type_traits>

namespace lierne {

/// The shortest decimal text that reads back as exactly the same float or double, whatever the locale.
/// Example: `number(5e5)` is `500000`, `number(1e-5)` is `1e-05`.
template <class Real>
  requires std::is_arithmetic_v<Real>
std::string number(Real value) {
  char text[32];  // 24 characters are the most that a double takes
  std::conditional_t<std::is_same_v<Real, float>, float, double> const real = value;
  auto const end = std::to_chars(text, text + sizeof text, real, std::chars_format::general).ptr;
  return {text, end};
}

}  // namespace lierne
