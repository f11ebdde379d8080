// SPDX-License-Identifier: Apache-2.0
// Time as a run measures it: since the process started, and from one event to the next.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#endif

namespace lierne {

namespace detail {

/// Seconds from the process's start to now, from /proc; 0 where there is none.
double seconds_since_exec();

}  // namespace detail

/// A stopwatch that knows when the process started. Units: seconds.
class Clock {
 public:
  Clock() { first(); }
  /// Since the process started (loading the program and its libraries included).
  double elapsed() const { return first().since_exec + since(first().at); }
  /// Since the last call of `lap`, or since this clock was made.
  double lap() {
    double const seconds = since(lap_);
    lap_ = Now::now();
    return seconds;
  }

 private:
  using Now = std::chrono::steady_clock;
  struct Moment {
    double since_exec;
    Now::time_point at;
  };
  // Asked once: a clock is made in every step, and to read /proc takes a tenth of a millisecond.
  static Moment const& first() {
    static Moment const moment{detail::seconds_since_exec(), Now::now()};
    return moment;
  }
  static double since(Now::time_point begin) { return std::chrono::duration<double>(Now::now() - begin).count(); }

  Now::time_point lap_ = Now::now();
};

namespace detail {

/// Steps after which a run with a time limit fixes its length; the first two are slower and do not count.
inline constexpr std::int64_t timed_steps = 12;

/// How many steps end in about `minutes`, by the median of the first steps' seconds; never more than `most`.
inline std::int64_t steps_in(double minutes, std::vector<double> seconds, std::int64_t most) {
  seconds.erase(seconds.begin(), seconds.begin() + 2);
  auto const middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(60 * minutes / *middle), timed_steps, most);
}

}  // namespace detail

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE double seconds_since_exec() {
  std::ifstream stat_file("/proc/self/stat"), uptime_file("/proc/uptime");
  std::string stat;
  double uptime = 0;
  if (!std::getline(stat_file, stat) || !(uptime_file >> uptime)) return 0;
  // The command's name may hold blanks, so fields are counted after its closing parenthesis: the start time is the 20th.
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string field;
  for (int i = 0; i < 20; ++i) fields >> field;
  return uptime - std::stod(field) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace detail
#endif

}  // namespace lierne
