// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/metrics_file.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lierne/core/error.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  explicit Folder(char const* name) : path(fs::temp_directory_path() / "lierne_metrics_file" / name) { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string read(fs::path const& folder) {
  std::ostringstream text;
  text << std::ifstream(folder / "metrics.jsonl", std::ios::binary).rdbuf();
  return text.str();
}

StepMetrics step(std::int64_t k) {
  return {.step = k, .steps = 9, .loss = 8.0 / static_cast<double>(k), .grad_norm = 1.5, .rate = 1e-3, .tokens_per_s = 100,
          .seconds = 0.5, .elapsed = 1.0, .tokens = 50 * k, .data_seconds = 0.01, .optimizer = {{"l2_norm/update/global", 0.25}},
          .model = {{"activation/norm/rms", 0.5}}};
}

struct Seen final : Sink {
  void write(StepMetrics const& m) override { steps.push_back(m); }
  void write(ValidationMetrics const& m) override { validations.push_back(m); }
  void write(TextSample const& s) override { samples.push_back(s); }
  std::vector<StepMetrics> steps;
  std::vector<ValidationMetrics> validations;
  std::vector<TextSample> samples;
};

}  // namespace

TEST_CASE("metrics.jsonl holds one object a line, each readable alone") {
  Folder const folder("deeper");
  {
    MetricsFile file(folder.path);
    file.write(step(1));
    file.write(ValidationMetrics{.step = 1, .loss = 8.0, .bits_per_byte = 3.0, .seconds = 0.1});
    file.write(TextSample{.step = 1, .text = "It \"was\"\n\xe2\x82"});
  }
  std::ifstream in(folder.path / "metrics.jsonl");
  std::string line;
  REQUIRE(std::getline(in, line));
  auto const object = nlohmann::json::parse(line);
  CHECK(object["step"] == 1);
  CHECK(object["loss"] == 8.0);
  for (char const* key : {"grad_norm", "rate", "tokens_per_s", "seconds", "elapsed", "tokens", "data_seconds"}) {
    CAPTURE(key);
    CHECK(object.contains(key));
  }
  CHECK(object["l2_norm/update/global"] == 0.25);
  CHECK(object["activation/norm/rms"] == 0.5);
  REQUIRE(std::getline(in, line));
  CHECK(nlohmann::json::parse(line)["bits_per_byte"] == 3.0);
  REQUIRE(std::getline(in, line));
  CHECK(nlohmann::json::parse(line)["sample"] == "It \"was\"\n\xef\xbf\xbd");  // a character cut short is replaced
  CHECK_FALSE(std::getline(in, line));
}

TEST_CASE("a run that goes on has the lines of one that never stopped") {
  Folder const whole("whole"), stopped("stopped");
  auto const write = [](MetricsFile& file, std::int64_t from, std::int64_t to) {
    for (auto k = from; k <= to; ++k) {
      file.write(step(k));
      if (k % 2 == 0) file.write(ValidationMetrics{.step = k, .loss = 1.0 / static_cast<double>(k)});
    }
  };
  {
    MetricsFile file(whole.path);
    write(file, 1, 9);
  }
  {
    MetricsFile file(stopped.path);
    write(file, 1, 7);
  }
  std::ofstream(stopped.path / "metrics.jsonl", std::ios::app) << R"({"step":8,"lo)";  // a stop in the middle of a line
  {
    MetricsFile file(stopped.path, 4);
    write(file, 5, 9);
  }
  CHECK(read(stopped.path) == read(whole.path));
}

TEST_CASE("going on where nothing is begins, and a cut line alone is dropped") {
  Folder const folder("empty");
  { MetricsFile file(folder.path, 4); }
  CHECK(read(folder.path).empty());
  std::ofstream(folder.path / "metrics.jsonl") << R"({"step":3,"loss":1})" << "\n" << R"({"step":4)";
  { MetricsFile file(folder.path, 4); }
  CHECK(read(folder.path) == "{\"step\":3,\"loss\":1}\n");
  { MetricsFile file(folder.path); }
  CHECK(read(folder.path).empty());
}

TEST_CASE("a replay gives back what was written") {
  Folder const folder("replay");
  {
    MetricsFile file(folder.path);
    file.write(step(1));
    auto second = step(2);
    second.loss = std::nan("");
    file.write(second);
    file.write(ValidationMetrics{.step = 2, .loss = 4, .bits_per_byte = 1.25, .seconds = 3});
    file.write(TextSample{.step = 2, .text = "a\nb"});
  }
  Seen seen;
  replay_metrics(folder.path, seen);
  REQUIRE(seen.steps.size() == 2);
  CHECK(seen.steps[0].loss == 8);
  CHECK(seen.steps[0].tokens == 50);
  CHECK(seen.steps[0].data_seconds == 0.01);
  CHECK(seen.steps[0].model.at("l2_norm/update/global") == 0.25);
  CHECK(std::isnan(seen.steps[1].loss));
  REQUIRE(seen.validations.size() == 1);
  CHECK(seen.validations[0].bits_per_byte == 1.25);
  REQUIRE(seen.samples.size() == 1);
  CHECK(seen.samples[0].text == "a\nb");
  Seen none;
  replay_metrics(folder.path / "no", none);
  CHECK(none.steps.empty());
}

TEST_CASE("what cannot be made or is no metrics file is named") {
  CHECK_THROWS_WITH_AS(MetricsFile("/proc/no/such"), doctest::Contains("/proc/no/such"), FileError);
  Folder const folder("foreign");
  fs::create_directories(folder.path);
  std::ofstream(folder.path / "metrics.jsonl") << "{\"step\":1}\nstep,loss\n";
  CHECK_THROWS_WITH_AS(MetricsFile(folder.path, 3), doctest::Contains("metrics.jsonl:2: expected an object with a step"), FileError);
  Seen seen;
  CHECK_THROWS_AS(replay_metrics(folder.path, seen), FileError);
}
