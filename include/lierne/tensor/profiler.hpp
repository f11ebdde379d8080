// SPDX-License-Identifier: Apache-2.0
// Records which of LibTorch's operators ran, for how long: a trace for chrome://tracing, and a table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

#include "lierne/core/error.hpp"
#endif

namespace lierne {

/// All calls of one operator in a recording.
struct OperatorTime {
  std::string name;
  std::int64_t calls = 0;
  double self_seconds = 0;   ///< without the operators that it called
  double total_seconds = 0;
};

/// Records from its making until `stop`. One at a time in a process.
/// Errors: `FileError` where the trace cannot be written.
/// Example: `OperatorProfiler profiler(device); step(); auto const table = to_text(profiler.stop("trace.json"));`
class OperatorProfiler {
 public:
  explicit OperatorProfiler(Device device);
  ~OperatorProfiler();
  OperatorProfiler(OperatorProfiler const&) = delete;

  /// Ends the recording, writes the trace, and gives the operators of the CPU, most self time first.
  std::vector<OperatorTime> stop(std::string const& trace_path);

 private:
  bool running_ = true;
};

/// A table of at most `most` operators, in milliseconds.
std::string to_text(std::vector<OperatorTime> const& operators, std::size_t most = 40);

namespace detail {

/// A call on a thread, in nanoseconds.
struct TimedCall {
  std::uint64_t thread, begin, end;
  std::string name;
};

/// Self times from calls that lie in each other, thread by thread.
std::vector<OperatorTime> operator_times(std::vector<TimedCall> calls);

}  // namespace detail

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE std::vector<OperatorTime> operator_times(std::vector<TimedCall> calls) {
  std::ranges::sort(calls, {}, [](TimedCall const& call) { return std::tuple(call.thread, call.begin, ~call.end); });
  std::map<std::string, OperatorTime> by_name;
  std::vector<TimedCall const*> open;
  for (auto const& call : calls) {
    while (!open.empty() && (open.back()->thread != call.thread || open.back()->end <= call.begin)) open.pop_back();
    double const seconds = 1e-9 * static_cast<double>(call.end - call.begin);
    auto& entry = by_name[call.name];
    ++entry.calls;
    entry.self_seconds += seconds;
    bool const inside_itself = std::ranges::any_of(open, [&](auto const* outer) { return outer->name == call.name; });
    if (!inside_itself) entry.total_seconds += seconds;
    if (!open.empty()) by_name[open.back()->name].self_seconds -= seconds;
    open.push_back(&call);
  }
  std::vector<OperatorTime> all;
  for (auto& [name, entry] : by_name) {
    entry.name = name;
    all.push_back(std::move(entry));
  }
  std::ranges::stable_sort(all, std::greater{}, &OperatorTime::self_seconds);
  return all;
}

inline std::set<torch::profiler::impl::ActivityType> profiled_activities(Device device) {
  using torch::profiler::impl::ActivityType;
  if (device.is_cuda()) return {ActivityType::CPU, ActivityType::CUDA};
  return {ActivityType::CPU};
}

}  // namespace detail

LIERNE_INLINE OperatorProfiler::OperatorProfiler(Device device) {
  using namespace torch::profiler::impl;
  ProfilerConfig const config(ProfilerState::KINETO, /*report_input_shapes=*/true);
  auto const activities = detail::profiled_activities(device);
  torch::autograd::profiler::prepareProfiler(config, activities);
  torch::autograd::profiler::enableProfiler(config, activities);
}

LIERNE_INLINE OperatorProfiler::~OperatorProfiler() {
  if (running_) torch::autograd::profiler::disableProfiler();
}

LIERNE_INLINE std::vector<OperatorTime> OperatorProfiler::stop(std::string const& trace_path) {
  running_ = false;
  auto const result = torch::autograd::profiler::disableProfiler();
  std::vector<detail::TimedCall> calls;
  for (auto const& event : result->events()) {
    if (event.deviceType() != at::kCPU || event.durationNs() == 0) continue;
    calls.push_back({event.startThreadId(), event.startNs(), event.endNs(), event.name()});
  }
  result->save(trace_path);
  auto* const written = std::fopen(trace_path.c_str(), "rb");
  check<FileError>(written != nullptr, trace_path, ": the trace could not be written (no such folder, or disk full?)");
  std::fclose(written);
  return detail::operator_times(std::move(calls));
}

LIERNE_INLINE std::string to_text(std::vector<OperatorTime> const& operators, std::size_t most) {
  std::string text = "   self ms   total ms    calls  operator\n";
  for (std::size_t i = 0; i < std::min(most, operators.size()); ++i) {
    auto const& entry = operators[i];
    char line[64];
    std::snprintf(line, sizeof line, "%10.3f %10.3f %8lld  ", 1e3 * entry.self_seconds, 1e3 * entry.total_seconds,
                  static_cast<long long>(entry.calls));
    text += line + entry.name + "\n";
  }
  return text;
}
#endif

}  // namespace lierne
