// SPDX-License-Identifier: Apache-2.0
// A function as a sink: it takes the events of a run that it has a parameter for.
#pragma once

#include <concepts>
#include <utility>

#include "lierne/train/sink.hpp"

namespace lierne {

/// Satisfied if and only if an `F` can be called with at least one event of a run: `StepMetrics const&`,
/// `ValidationMetrics const&`, `CheckpointMetrics const&` or `TextSample const&`.
/// Satisfied by `[](StepMetrics const& m) { ... }`, by a class that overloads `operator()` for several of them, and by
/// `[](auto const& event) { ... }`, which takes them all.
template <class F>
concept Callback = std::invocable<F&, StepMetrics const&> || std::invocable<F&, ValidationMetrics const&> ||
                   std::invocable<F&, CheckpointMetrics const&> || std::invocable<F&, TextSample const&>;

/// The sink that hands events to a callback, in the order in which they come, and drops what it does not take.
/// `Trainer::observe` makes it.
template <Callback F>
class CallbackSink final : public Sink {
 public:
  explicit CallbackSink(F callback) : callback_(std::move(callback)) {}

  void write(StepMetrics const& metrics) override { call(metrics); }
  void write(ValidationMetrics const& metrics) override { call(metrics); }
  void write(CheckpointMetrics const& metrics) override { call(metrics); }
  void write(TextSample const& sample) override { call(sample); }

 private:
  template <class Event>
  void call(Event const& event) {
    if constexpr (std::invocable<F&, Event const&>) callback_(event);
  }

  F callback_;
};

}  // namespace lierne
