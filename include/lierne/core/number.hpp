// SPDX-License-Identifier: Apache-2.0
// Numbers as text for names and logs.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdio>
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

/// A number with so many digits behind the point, `sign`: with a plus where it is positive; nothing for NaN.
/// Example: `fixed(2.0 / 3, 2)` is `0.67`.
inline std::string fixed(double value, int digits, bool sign = false) {
  if (std::isnan(value)) return "";
  char text[400];  // the largest double has 309 digits before the point
  std::snprintf(text, sizeof text, sign ? "%+.*f" : "%.*f", digits, value);
  return text;
}

/// The nearest whole number with commas between thousands. Example: `grouped(1234567)` is `1,234,567`.
inline std::string grouped(double value) {
  auto text = fixed(value, 0);
  for (std::size_t end = text.size(), first = text.starts_with('-') ? 1 : 0; end > first + 3; end -= 3) text.insert(end - 3, ",");
  return text;
}

/// Seconds as `minutes:seconds` or `hours:minutes:seconds`; `?` when they are not finite. Example: `duration(468)` is `7:48`.
inline std::string duration(double seconds) {
  if (!std::isfinite(seconds) || std::abs(seconds) > 1e15) return "?";
  auto const whole = std::llround(seconds < 0 ? 0 : seconds);
  auto const two = [](long long value) { return (value < 10 ? "0" : "") + std::to_string(value); };
  auto const rest = ":" + two(whole % 60);
  return whole < 3600 ? std::to_string(whole / 60) + rest : std::to_string(whole / 3600) + ":" + two(whole / 60 % 60) + rest;
}

}  // namespace lierne
