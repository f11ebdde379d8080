// SPDX-License-Identifier: Apache-2.0
// The exceptions of the library, one type per cause, and the check that throws them.
#pragma once

#include <stdexcept>
#include <string_view>
#include <type_traits>

#include "lierne/core/number.hpp"

namespace lierne {

/// The root of every exception that lierne throws. `what()` names what was expected and what was found.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An argument, option or setting that cannot be used.
struct ArgumentError : Error {
  using Error::Error;
};

/// A tensor, parameter or state whose shape, dtype or name is not the expected one.
struct ShapeError : Error {
  using Error::Error;
};

/// A file that is missing, truncated, or not of the format that its name or header claims.
struct FileError : Error {
  using Error::Error;
};

/// A number that training cannot go on with: NaN, infinity, an empty batch.
struct NumericError : Error {
  using Error::Error;
};

/// A launch environment, rank or process group that does not fit the plan.
struct LaunchError : Error {
  using Error::Error;
};

namespace detail {

template <class T>
void append(std::string& text, T const& part) {
  if constexpr (std::is_convertible_v<T const&, std::string_view>) {
    text += std::string_view(part);
  } else if constexpr (std::is_same_v<T, char>) {
    text += part;
  } else if constexpr (std::is_same_v<T, bool>) {
    text += part ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<T>) {
    text += number(part);
  } else if constexpr (requires { part.str(); }) {
    text += part.str();
  } else {
    using std::to_string;
    text += to_string(part);
  }
}

}  // namespace detail

/// Joins values into one message: text as it is, numbers in the shortest form, anything else by its `str()` or `to_string`.
/// Example: `message("expected ", 4, " files, found ", n)`.
template <class... Parts>
  requires(sizeof...(Parts) > 0)
std::string message(Parts const&... parts) {
  std::string text;
  (detail::append(text, parts), ...);
  return text;
}

/// Throws `E` with the joined message unless `holds`. The message is built only on failure.
/// Example: `check<FileError>(in.good(), path, ": cannot be opened")`.
template <class E = ArgumentError, class... Parts>
  requires(sizeof...(Parts) > 0)
void check(bool holds, Parts const&... parts) {
  if (!holds) [[unlikely]] throw E(message(parts...));
}

}  // namespace lierne
