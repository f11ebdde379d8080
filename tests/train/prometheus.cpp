// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/prometheus.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "lierne/core/error.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

fs::path fresh(char const* name) {
  auto const folder = fs::temp_directory_path() / "lierne_prometheus" / name;
  fs::remove_all(folder);
  return folder;
}

/// The samples of a file by name and labels; fails where a line is neither a comment nor a sample, or a name has no type.
std::map<std::string, std::string> samples(fs::path const& folder) {
  std::ifstream in(folder / "metrics.prom");
  std::map<std::string, std::string> found, types;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first, second, third, fourth;
    words >> first >> second >> third >> fourth;
    if (first == "#") {
      if (second == "TYPE") {
        CHECK_FALSE(types.contains(third));
        CHECK((fourth == "gauge" || fourth == "counter"));
        types[third] = fourth;
      } else {
        CHECK(second == "HELP");
      }
      continue;
    }
    CHECK(types.contains(first.substr(0, first.find('{'))));
    CHECK(third.empty());
    CHECK(found.emplace(first, second).second);
  }
  return found;
}

}  // namespace

TEST_CASE("the file holds the latest numbers, each with its type") {
  auto const folder = fresh("latest");
  PrometheusFile file(folder, {.every = 0});
  file.write(StepMetrics{.step = 1, .steps = 9, .loss = 8, .optimizer = {{"l2_norm/grad/global", 0.5}}});
  auto all = samples(folder);
  CHECK(all.at("lierne_step") == "1");
  CHECK(all.at("lierne_loss_nats") == "8");
  CHECK_FALSE(all.contains("lierne_validation_loss_nats"));
  file.write(ValidationMetrics{.step = 1, .loss = 7.5, .bits_per_byte = 3});
  file.write(StepMetrics{.step = 2, .steps = 9, .loss = 6.25, .grad_norm = std::numeric_limits<double>::infinity(), .rate = 1e-5,
                         .tokens_per_s = 100, .seconds = 0.5, .elapsed = 2, .tokens = 128, .data_seconds = 0.25,
                         .model = {{"a\"b\\c", std::numeric_limits<double>::quiet_NaN()}}});
  all = samples(folder);
  CHECK(all.at("lierne_step") == "2");
  CHECK(all.at("lierne_steps") == "9");
  CHECK(all.at("lierne_loss_nats") == "6.25");
  CHECK(all.at("lierne_gradient_norm") == "+Inf");
  CHECK(all.at("lierne_learning_rate") == "1e-05");
  CHECK(all.at("lierne_tokens_total") == "128");
  CHECK(all.at("lierne_tokens_per_second") == "100");
  CHECK(all.at("lierne_step_seconds") == "0.5");
  CHECK(all.at("lierne_data_seconds") == "0.25");
  CHECK(all.at("lierne_elapsed_seconds") == "2");
  CHECK(std::stod(all.at("lierne_resident_bytes")) > 1e6);
  CHECK(all.at("lierne_validation_loss_nats") == "7.5");
  CHECK(all.at("lierne_validation_bits_per_byte") == "3");
  CHECK(all.at("lierne_measurement{key=\"l2_norm/grad/global\"}") == "0.5");  // of step 1, still the latest
  CHECK(all.at("lierne_measurement{key=\"a\\\"b\\\\c\"}") == "NaN");
  CHECK(all.at("lierne_ended") == "0");
  file.end();
  CHECK(samples(folder).at("lierne_ended") == "1");
}

TEST_CASE("steps that follow each other fast are not all written, but what ends the run is") {
  auto const folder = fresh("fast");
  PrometheusFile file(folder, {.every = 3600});
  for (int k = 1; k <= 5; ++k) file.write(StepMetrics{.step = k});
  CHECK(samples(folder).at("lierne_step") == "1");
  file.write(ValidationMetrics{.step = 5});
  CHECK(samples(folder).at("lierne_step") == "5");
  file.write(StepMetrics{.step = 6});
  file.end();
  CHECK(samples(folder).at("lierne_step") == "6");
  CHECK_FALSE(fs::exists(folder / "metrics.prom.part"));
}

TEST_CASE("a folder that cannot be made says so") {
  CHECK_THROWS_WITH_AS(PrometheusFile("/proc/no/such"), doctest::Contains("/proc/no/such"), FileError);
}
