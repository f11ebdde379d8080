// SPDX-License-Identifier: Apache-2.0
// How a program ends by an error of the library that nobody catches: with its message, as a command does.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "lierne/core/error.hpp"

namespace lierne {

namespace detail {

inline std::terminate_handler& terminate_before() {
  static std::terminate_handler before = nullptr;
  return before;
}

[[noreturn]] inline void end_by_message() {
  if (auto const current = std::current_exception()) {
    try {
      std::rethrow_exception(current);
    } catch (Error const& error) {
      std::fflush(stdout);
      std::fprintf(stderr, "error: %s\n", error.what());
      std::_Exit(EXIT_FAILURE);
    } catch (...) {
    }
  }
  if (auto const before = terminate_before()) before();
  std::abort();
}

}  // namespace detail

/// From now on an `Error` that nobody catches prints `error: ` and its message on stderr and ends the program with status 1; without
/// this, the runtime aborts it and prints the exception's type as well. Other exceptions abort as ever. `Options` calls it when they
/// are added to a program. A program that shall do otherwise catches `Error`, or sets its own `std::set_terminate` afterwards.
/// Example: `int main() { ln::report_uncaught_errors(); ... }`
inline void report_uncaught_errors() {
  auto const before = std::set_terminate(detail::end_by_message);
  if (before != detail::end_by_message) detail::terminate_before() = before;
}

}  // namespace lierne
