// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/sink.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace lierne;

namespace {

struct Log final : Sink {
  Log(std::string& text, std::string own) : text(text), own(std::move(own)) {}
  void write(StepMetrics const& m) override { text += own + " step " + std::to_string(m.step) + "; "; }
  void write(ValidationMetrics const& m) override { text += own + " validation " + std::to_string(m.step) + "; "; }
  void write(CheckpointMetrics const& m) override { text += own + " checkpoint " + m.path + "; "; }
  void write(TextSample const& s) override { text += own + " sample " + s.text + "; "; }
  void end() override { text += own + " end; "; }
  void flush() override { text += own + " flush; "; }
  std::string& text;
  std::string own;
};

struct StepsOnly final : Sink {
  void write(StepMetrics const& m) override { last = m.step; }
  using Sink::write;
  std::int64_t last = 0;
};

}  // namespace

TEST_CASE("each sink gets everything, in the order in which they were added") {
  std::string text;
  Sinks sinks;
  sinks.add(std::make_unique<Log>(text, "a"));
  sinks.add(std::make_unique<Log>(text, "b"));
  sinks.write(StepMetrics{.step = 1});
  sinks.write(ValidationMetrics{.step = 1});
  sinks.write(CheckpointMetrics{.step = 1, .path = "step-1"});
  sinks.write(TextSample{.step = 1, .text = "it was"});
  sinks.end();
  CHECK(sinks.size() == 2);
  CHECK(text == "a step 1; b step 1; a validation 1; b validation 1; a checkpoint step-1; b checkpoint step-1; "
                "a sample it was; b sample it was; a end; b end; ");
}

TEST_CASE("a sink says nothing to what it does not take, and none takes everything") {
  StepsOnly sink;
  sink.write(StepMetrics{.step = 4});
  sink.write(ValidationMetrics{.step = 5});
  sink.end();
  CHECK(sink.last == 4);
  Sinks none;
  none.write(StepMetrics{.step = 1});
  none.end();
  CHECK(none.size() == 0);
}

TEST_CASE("a sink's error comes out, but for one in a flush, which keeps no other sink from its own") {
  struct Broken final : Sink {
    void write(StepMetrics const&) override { throw std::runtime_error("disk full"); }
    void flush() override { throw std::runtime_error("disk full"); }
    using Sink::write;
  };
  Sinks sinks;
  sinks.add(std::make_unique<Broken>());
  CHECK_THROWS_WITH(sinks.write(StepMetrics{}), "disk full");
  std::string text;
  sinks.add(std::make_unique<Log>(text, "a"));
  CHECK_NOTHROW(sinks.flush());
  CHECK(text == "a flush; ");
}
