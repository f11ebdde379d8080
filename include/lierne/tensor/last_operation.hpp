// SPDX-License-Identifier: Apache-2.0
// Which of ATen's operators was called last, for errors that should name it.
#pragma once

#include <ATen/record_function.h>

#include <memory>
#include <mutex>
#include <string>

namespace lierne {

/// Follows the operators that this thread calls, and those of its backward passes, whatever thread these run on. One at
/// a time; each call takes some hundred nanoseconds longer.
/// Example: `LastOperation const last; try { step(); } catch (...) { std::puts(last.name().c_str()); throw; }`
class LastOperation {
 public:
  LastOperation()
      : callback_(at::addThreadLocalCallback(
            at::RecordFunctionCallback(&begin, &end).scopes({at::RecordScope::FUNCTION}))) {
    std::lock_guard const guard(mutex);
    last.clear();
  }
  ~LastOperation() { at::removeCallback(callback_); }
  LastOperation(LastOperation const&) = delete;

  /// The last one that no other operator has called, as `aten::item`; empty before the first.
  std::string name() const {
    std::lock_guard const guard(mutex);
    return last;
  }

 private:
  // The callbacks are functions without a state of their own.
  static std::unique_ptr<at::ObserverContext> begin(at::RecordFunction const& function) {
    if (is_operator(function) && depth++ == 0) {
      std::lock_guard const guard(mutex);
      last = function.name();
    }
    return nullptr;
  }
  static void end(at::RecordFunction const& function, at::ObserverContext*) {
    if (is_operator(function)) --depth;
  }
  // Others are stretches of a program that somebody has named, such as the nodes of a backward pass.
  static bool is_operator(at::RecordFunction const& function) { return function.operator_name().has_value(); }

  static inline std::mutex mutex;
  static inline std::string last;
  static inline thread_local int depth = 0;

  at::CallbackHandle callback_;
};

}  // namespace lierne
