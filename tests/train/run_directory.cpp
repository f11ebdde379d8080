// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/run_directory.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "lierne/core/error.hpp"
#include "lierne/tensor/machine.hpp"
#include "lierne/train/git_state.hpp"
#include "lierne/version.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  explicit Folder(char const* name) : path(fs::temp_directory_path() / "lierne_run_directory" / name) { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string read(fs::path const& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::set<std::string> files(fs::path const& folder) {
  std::set<std::string> names;
  for (auto const& entry : fs::directory_iterator(folder)) {
    auto const name = entry.path().filename().string();
    names.insert(name.starts_with("events.out.tfevents.") ? "events" : name);
  }
  return names;
}

RunRecord record() {
  return {.spec = "6 x 256 \xff", .plan = "alone", .rule = "adamw", .device = "a device", .parameters = 6'000'000, .batch = 8,
          .length = 256, .options = {.out = "runs/\"a\"", .minutes = 0.5, .seed = ~std::uint64_t{0}, .data_seed = 7, .spike = 1e-5}};
}

void steps(Sinks& sinks, std::int64_t from, std::int64_t to) {
  for (auto k = from; k <= to; ++k) sinks.write(StepMetrics{.step = k, .steps = to, .loss = 1.0 / static_cast<double>(k)});
}

}  // namespace

TEST_CASE("run.json says what the run is and where it runs") {
  auto const json = nlohmann::json::parse(to_json(record()));
  CHECK(json["spec"] == "6 x 256 \xef\xbf\xbd");
  CHECK(json["plan"] == "alone");
  CHECK(json["rule"] == "adamw");
  CHECK(json["parameters"] == 6'000'000);
  CHECK(json["batch"] == 8);
  CHECK(json["length"] == 256);
  CHECK(json["processes"] == 1);
  auto const& options = json["options"];
  CHECK(options.size() == Options{}.entries().size());
  CHECK(options["out"] == "runs/\"a\"");
  CHECK(options["minutes"] == 0.5);
  CHECK(options["spike"] == 1e-5);
  CHECK(options["steps"] == 1000);
  CHECK(options["quiet"] == false);
  CHECK(json["seeds"]["weights"] == ~std::uint64_t{0});
  CHECK(json["seeds"]["data"] == 7);
  CHECK(json["versions"]["lierne"] == version.text);
  CHECK(json["versions"]["libtorch"] == libtorch_version());
  CHECK(json["machine"]["cpu"] == cpu_model());
  CHECK(json["machine"]["threads"] == threads());
  CHECK(json["machine"]["device"] == "a device");
  auto const started = json["started"].get<std::string>();
  CHECK(started.size() == 20);
  CHECK(started.ends_with("Z"));
  CHECK_FALSE(json.contains("resumed_after"));
  auto chosen = record();
  chosen.options.preset = "small";
  chosen.options.rule = "adopt";
  auto const with_choice = nlohmann::json::parse(to_json(chosen))["options"];
  CHECK(with_choice["preset"] == "small");
  CHECK(with_choice["rule"] == "adopt");
  CHECK_FALSE(options.contains("preset"));
  CHECK(nlohmann::json::parse(to_json(record(), 40))["resumed_after"] == 40);
}

TEST_CASE("the repository is the working directory's, and absent outside one") {
  auto const before = fs::current_path();
  auto const here = git_state(before);
  auto const json = nlohmann::json::parse(to_json(record()));
  CHECK(json["git"].is_null() == !here.has_value());
  if (here) CHECK(json["git"]["commit"] == here->commit);
  fs::current_path("/");
  CHECK(nlohmann::json::parse(to_json(record()))["git"].is_null());
  fs::current_path(before);
}

TEST_CASE("a run that begins has all its files, and replaces those of an earlier one") {
  Folder const folder("begins");
  for (int again = 0; again < 2; ++again) {
    auto sinks = open_run(folder.path, record());
    CHECK(sinks.size() == 4);
    steps(sinks, 1, 3);
    sinks.write(ValidationMetrics{.step = 3, .loss = 2, .bits_per_byte = 1});
    sinks.write(TextSample{.step = 3, .text = "It was"});
    sinks.end();
    CHECK(files(folder.path) == std::set<std::string>{"events", "metrics.jsonl", "metrics.prom", "report.html", "run.json"});
    auto const lines = read(folder.path / "metrics.jsonl");
    CHECK(std::count(lines.begin(), lines.end(), '\n') == 5);
    std::ofstream(folder.path / "run-after-2.json") << "{}";  // the next one begins again: it goes
  }
  auto const report = read(folder.path / "report.html");
  CHECK(report.find("<title>Run begins</title>") != std::string::npos);
  CHECK(report.find("<td>options.spike</td><td>1e-05</td>") != std::string::npos);
  CHECK(report.find("<td>versions.libtorch</td>") != std::string::npos);
  CHECK(report.find("It was") != std::string::npos);
}

TEST_CASE("a run that goes on keeps its record, and its page has the steps before") {
  Folder const folder("goes_on");
  {
    auto sinks = open_run(folder.path, record());
    steps(sinks, 1, 5);
    sinks.write(TextSample{.step = 3, .text = "It was before"});
    steps(sinks, 6, 7);
  }
  auto const first = read(folder.path / "run.json");
  {
    auto sinks = open_run(folder.path, record(), 5);
    steps(sinks, 6, 8);
    sinks.end();
  }
  CHECK(read(folder.path / "run.json") == first);
  CHECK(nlohmann::json::parse(read(folder.path / "run-after-5.json"))["resumed_after"] == 5);
  std::ifstream in(folder.path / "metrics.jsonl");
  std::vector<std::int64_t> seen;
  for (std::string line; std::getline(in, line);) seen.push_back(nlohmann::json::parse(line)["step"]);
  CHECK(seen == std::vector<std::int64_t>{1, 2, 3, 4, 5, 3, 6, 7, 8});
  auto const report = read(folder.path / "report.html");
  auto const points = report.substr(report.find("<polyline points=\""), report.find("\" style=\"stroke") - report.find("<polyline points=\""));
  CHECK(std::count(points.begin(), points.end(), ',') == 8);
  CHECK(report.find("It was before") != std::string::npos);
}

TEST_CASE("a step costs all sinks together far less than a hundredth of 20 ms") {
  Folder const folder("cost");
  auto sinks = open_run(folder.path, record());
  std::vector<double> milliseconds;
  for (std::int64_t step = 1; step <= 2000; ++step) {
    StepMetrics m{.step = step, .steps = 2000, .loss = 3, .grad_norm = 1, .rate = 1e-3, .tokens_per_s = 1e4, .seconds = 0.02};
    m.model["expert_load/layers.0.moe/max"] = 1.5;
    auto const begin = std::chrono::steady_clock::now();
    sinks.write(m);
    milliseconds.push_back(1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  sinks.end();
  // The median, for a shared machine takes the processor away now and then; `script/bench trainer` has the mean.
  std::nth_element(milliseconds.begin(), milliseconds.begin() + 1000, milliseconds.end());
  CHECK(milliseconds[1000] < 0.2);
}

TEST_CASE("a folder that cannot be made says so") {
  CHECK_THROWS_WITH_AS(open_run("/proc/no/such", record()), doctest::Contains("/proc/no/such"), FileError);
}
