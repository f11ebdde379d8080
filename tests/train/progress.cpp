// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/progress.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace lierne;

TEST_CASE("metrics.jsonl holds one object a line, each readable alone") {
  auto const folder = std::filesystem::temp_directory_path() / "lierne_metrics_test" / "deeper";
  std::filesystem::remove_all(folder);
  {
    MetricsFile file(folder);
    file.write(StepMetrics{.step = 1, .steps = 2, .loss = 8.25, .grad_norm = 1.5, .rate = 1e-3, .tokens_per_s = 100,
                           .seconds = 0.5, .elapsed = 1.0, .tokens = 50, .data_seconds = 0.01,
                           .optimizer = {{"l2_norm/update/global", 0.25}},
                           .model = {{"activation/norm/rms", 0.5}}});
    file.write(ValidationMetrics{.step = 1, .loss = 8.0, .bits_per_byte = 3.0, .seconds = 0.1});
  }
  std::ifstream in(folder / "metrics.jsonl");
  std::string line;
  REQUIRE(std::getline(in, line));
  auto const step = nlohmann::json::parse(line);
  CHECK(step["step"] == 1);
  CHECK(step["loss"] == 8.25);
  for (char const* key : {"grad_norm", "rate", "tokens_per_s", "seconds", "elapsed", "tokens", "data_seconds"}) {
    CAPTURE(key);
    CHECK(step.contains(key));
  }
  CHECK(step["l2_norm/update/global"] == 0.25);
  CHECK(step["activation/norm/rms"] == 0.5);
  REQUIRE(std::getline(in, line));
  CHECK(nlohmann::json::parse(line)["bits_per_byte"] == 3.0);
  CHECK_FALSE(std::getline(in, line));
}

TEST_CASE("a run directory that cannot be made says so") {
  CHECK_THROWS_WITH_AS(MetricsFile("/proc/no/such"), doctest::Contains("/proc/no/such"), FileError);
}
