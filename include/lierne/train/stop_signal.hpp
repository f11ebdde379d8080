// SPDX-License-Identifier: Apache-2.0
// SIGINT and SIGTERM as a wish to end after the step that is running.
#pragma once

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <csignal>
#endif

namespace lierne {

/// While it lives, the first SIGINT or SIGTERM is kept for `received`; a second one ends the process as it would without.
/// Afterwards signals go where they went before. One at a time in a process.
/// Example: `StopSignal const stop; while (!StopSignal::received()) step();`
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(StopSignal const&) = delete;
  StopSignal& operator=(StopSignal const&) = delete;

  /// The signal that came since the last object was made; 0: none.
  static int received();
};

#if LIERNE_BODIES
namespace detail {

struct StopSignalState {
  std::sig_atomic_t volatile received = 0;
  struct sigaction before_int {}, before_term {};
};
inline StopSignalState stop_signal_state;

// Only what a signal handler may do.
inline void keep_stop_signal(int signal) {
  auto& state = stop_signal_state;
  state.received = signal;
  ::sigaction(SIGINT, &state.before_int, nullptr);
  ::sigaction(SIGTERM, &state.before_term, nullptr);
}

}  // namespace detail

LIERNE_INLINE StopSignal::StopSignal() {
  auto& state = detail::stop_signal_state;
  state.received = 0;
  struct sigaction keep {};
  keep.sa_handler = detail::keep_stop_signal;
  keep.sa_flags = SA_RESTART;
  ::sigemptyset(&keep.sa_mask);
  ::sigaction(SIGINT, &keep, &state.before_int);
  ::sigaction(SIGTERM, &keep, &state.before_term);
}

LIERNE_INLINE StopSignal::~StopSignal() {
  auto& state = detail::stop_signal_state;
  ::sigaction(SIGINT, &state.before_int, nullptr);
  ::sigaction(SIGTERM, &state.before_term, nullptr);
}

LIERNE_INLINE int StopSignal::received() { return detail::stop_signal_state.received; }
#endif

}  // namespace lierne
