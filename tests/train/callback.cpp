// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/callback.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace lierne;

namespace {

auto const of_steps = [](StepMetrics const&) {};
auto const of_numbers = [](double) {};
auto const that_changes = [](StepMetrics&) {};

struct Log {
  std::vector<std::string>* seen;
  void operator()(StepMetrics const& m) const { seen->push_back("step " + std::to_string(m.step)); }
  void operator()(CheckpointMetrics const& m) const { seen->push_back(m.path); }
};

template <class F>
void send(F callback) {
  CallbackSink<F> sink(std::move(callback));
  sink.write(StepMetrics{.step = 3});
  sink.write(ValidationMetrics{.step = 3});
  sink.write(CheckpointMetrics{.step = 3, .path = "run/checkpoints/step-3"});
  sink.write(TextSample{.step = 3});
  sink.end();
}

}  // namespace

static_assert(Callback<decltype(of_steps)> && Callback<Log>);
static_assert(!Callback<decltype(of_numbers)> && !Callback<decltype(that_changes)> && !Callback<int>);

TEST_CASE("a callback gets what it takes, and nothing else") {
  std::vector<std::string> seen;
  send(Log{&seen});
  CHECK(seen == std::vector<std::string>{"step 3", "run/checkpoints/step-3"});
  int validations = 0;
  send([&](ValidationMetrics const& m) { validations += m.step == 3 ? 1 : 100; });
  CHECK(validations == 1);
}

TEST_CASE("a generic callback gets every event, in order") {
  int events = 0;
  std::vector<bool> steps;
  send([&](auto const& event) {
    steps.push_back(std::is_same_v<decltype(event), StepMetrics const&>);
    events += event.step == 3;
  });
  CHECK(events == 4);
  CHECK(steps == std::vector{true, false, false, false});
}
