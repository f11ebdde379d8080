// SPDX-License-Identifier: Apache-2.0
// The exceptions of the library, one type per cause, and the check that throws them.
#pragma once

#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

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

/// Joins values into one message. Numerics: values print as `operator<<` prints them in the C locale.
/// Example: `message("expected ", 4, " files, found ", n)`.
template <class... Parts>
  requires(sizeof...(Parts) > 0)
std::string message(Parts const&... parts) {
  std::ostringstream text;
  text.imbue(std::locale::classic());  // a host program's locale must not group the digits of a shape
  (text << ... << parts);
  return text.str();
}

/// Throws `E` with the joined message unless `holds`. The message is built only on failure.
/// Example: `check<FileError>(in.good(), path, ": cannot be opened")`.
template <class E = ArgumentError, class... Parts>
  requires(sizeof...(Parts) > 0)
void check(bool holds, Parts const&... parts) {
  if (!holds) [[unlikely]] throw E(message(parts...));
}

}  // namespace lierne
