// SPDX-License-Identifier: Apache-2.0
// A run's directory: what the run is in run.json, and the library's own sinks on its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/train/options.hpp"
#include "lierne/train/sink.hpp"

#if LIERNE_BODIES
#include <array>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/core/write_file.hpp"
#include "lierne/data/utf8.hpp"
#include "lierne/tensor/machine.hpp"
#include "lierne/train/event_file.hpp"
#include "lierne/train/git_state.hpp"
#include "lierne/train/metrics_file.hpp"
#include "lierne/train/prometheus.hpp"
#include "lierne/train/report_page.hpp"
#include "lierne/version.hpp"
#endif

namespace lierne {

/// What a run is, as its loop knows it. The machine, the versions, the repository and the time come from where it runs.
struct RunRecord {
  std::string spec{};            ///< the model's name
  std::string plan{};
  std::string rule{};
  std::string device{};          ///< its name
  std::int64_t parameters = 0;
  std::int64_t batch = 0;        ///< windows a step of this process, before accumulation
  std::int64_t length = 0;       ///< tokens a window
  int processes = 1;
  Options options{};
};

/// The record, the machine, versions, seeds, the working directory's repository (null outside one) and the time now, as JSON.
/// `resumed`: the step after which the run goes on; 0: it begins.
std::string to_json(RunRecord const& record, std::int64_t resumed = 0);

/// Makes `folder` a run's directory: writes run.json as a whole, once, and opens metrics.jsonl, metrics.prom, report.html and an
/// event file for TensorBoard. A run that goes on after step `resumed` keeps run.json, writes run-after-STEP.json beside it,
/// and its files go on where they were; one that begins replaces them all.
/// Errors: `FileError` naming the folder or file that cannot be made, read or written.
/// Example: `auto sinks = open_run(options.out, {.spec = model.name(), .options = options}); sinks.write(metrics); sinks.end();`
Sinks open_run(std::filesystem::path const& folder, RunRecord const& record, std::int64_t resumed = 0);

#if LIERNE_BODIES
namespace detail {

// A value of an option in TOML is the same in JSON: whole numbers, floats that are finite, true, false, and text.
inline nlohmann::ordered_json option_value(std::string const& toml) {
  auto value = nlohmann::ordered_json::parse(replace_invalid(toml), nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? nlohmann::ordered_json(replace_invalid(toml)) : value;
}

inline std::string utc_now() {
  auto const now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// Name and value for people: objects within objects by dots.
inline void flatten(nlohmann::ordered_json const& json, std::string const& prefix,
                    std::vector<std::pair<std::string, std::string>>& rows) {
  for (auto const& [key, value] : json.items()) {
    auto const name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object()) flatten(value, name, rows);
    else rows.emplace_back(name, value.is_string() ? value.get<std::string>() : value.is_null() ? "none" : value.dump());
  }
}

inline nlohmann::ordered_json run_json(RunRecord const& record, std::int64_t resumed) {
  nlohmann::ordered_json options = nlohmann::ordered_json::object();
  for (auto const& [name, value] : record.options.entries()) options[name] = option_value(value);
  nlohmann::ordered_json git;
  if (auto const state = git_state(std::filesystem::current_path())) git = {{"commit", state->commit}, {"dirty", state->dirty}};
  nlohmann::ordered_json json{
      {"spec", replace_invalid(record.spec)},
      {"plan", replace_invalid(record.plan)},
      {"rule", replace_invalid(record.rule)},
      {"parameters", record.parameters},
      {"batch", record.batch},
      {"length", record.length},
      {"processes", record.processes},
      {"options", std::move(options)},
      {"seeds", {{"weights", record.options.seed}, {"data", record.options.data_seed}}},
      {"versions", {{"lierne", version.text}, {"libtorch", libtorch_version()}}},
      {"machine", {{"device", replace_invalid(record.device)}, {"cpu", replace_invalid(cpu_model())},
                   {"vector_instructions", cpu_capability()}, {"threads", threads()}}},
      {"git", std::move(git)},
      {"started", utc_now()}};
  if (resumed > 0) json["resumed_after"] = resumed;
  return json;
}

}  // namespace detail

LIERNE_INLINE std::string to_json(RunRecord const& record, std::int64_t resumed) {
  return detail::run_json(record, resumed).dump(2) + "\n";
}

LIERNE_INLINE Sinks open_run(std::filesystem::path const& folder, RunRecord const& record, std::int64_t resumed) {
  make_folder(folder, "run directory");
  if (resumed == 0) {
    for (auto const& entry : std::filesystem::directory_iterator(folder)) {
      auto const name = entry.path().filename().string();
      if (name.starts_with("run-after-") && name.ends_with(".json")) std::filesystem::remove(entry.path());
    }
  }
  auto const json = detail::run_json(record, resumed);
  write_file(folder / (resumed > 0 ? message("run-after-", resumed, ".json") : "run.json"), json.dump(2) + "\n");
  ReportSettings settings{.title = "Run " + std::filesystem::absolute(folder).lexically_normal().filename().string()};
  detail::flatten(json, "", settings.configuration);

  Sinks sinks;
  sinks.add(std::make_unique<MetricsFile>(folder, resumed));
  auto report = std::make_unique<ReportPage>(folder, std::move(settings));
  if (resumed > 0) replay_metrics(folder, *report);
  sinks.add(std::move(report));
  sinks.add(std::make_unique<EventFile>(folder, resumed));
  sinks.add(std::make_unique<PrometheusFile>(folder));
  return sinks;
}
#endif

}  // namespace lierne
