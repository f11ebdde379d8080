// SPDX-License-Identifier: Apache-2.0
// Where a run's numbers go: one interface, and several of them as one.
#pragma once

#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "lierne/train/metrics.hpp"

namespace lierne {

/// Takes the numbers of a run as they come, in the order of the steps. One of your own goes beside the library's.
/// Errors: `FileError` naming what cannot be written.
/// Example: `struct Last : Sink { double loss = 0; void write(StepMetrics const& m) override { loss = m.loss; } };`
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(StepMetrics const& /*metrics*/) {}
  virtual void write(ValidationMetrics const& /*metrics*/) {}
  virtual void write(CheckpointMetrics const& /*metrics*/) {}
  virtual void write(TextSample const& /*sample*/) {}
  /// The run is over and its numbers are complete. A run that an error ends does not come here, but to `flush`.
  virtual void end() {}
  /// An error ends the run: what has come so far is to be there. What this throws is dropped, for the error goes on.
  virtual void flush() {}
};

/// Several sinks as one, in the order in which they were added.
class Sinks final : public Sink {
 public:
  void add(std::unique_ptr<Sink> sink) { all_.push_back(std::move(sink)); }
  std::size_t size() const { return all_.size(); }

  void write(StepMetrics const& metrics) override { write_all(metrics); }
  void write(ValidationMetrics const& metrics) override { write_all(metrics); }
  void write(CheckpointMetrics const& metrics) override { write_all(metrics); }
  void write(TextSample const& sample) override { write_all(sample); }
  void end() override {
    for (auto const& sink : all_) sink->end();
  }
  void flush() override {
    for (auto const& sink : all_) {
      try {
        sink->flush();
      } catch (std::exception const&) {  // the error that ends the run matters more, and the other sinks too
      }
    }
  }

 private:
  template <class Numbers>
  void write_all(Numbers const& numbers) {
    for (auto const& sink : all_) sink->write(numbers);
  }

  std::vector<std::unique_ptr<Sink>> all_;
};

}  // namespace lierne
