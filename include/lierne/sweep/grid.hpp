// SPDX-License-Identifier: Apache-2.0
// The sweep: every combination of the axes is one run, and every run one row.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/axis.hpp"
#include "lierne/sweep/summary.hpp"
#include "lierne/sweep/trial.hpp"
#include "lierne/tensor/function_ref.hpp"

#if LIERNE_BODIES
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "lierne/core/nearest.hpp"
#include "lierne/core/write_file.hpp"
#include "lierne/mesh/launch.hpp"
#include "lierne/sweep/report.hpp"
#include "lierne/sweep/results.hpp"
#endif

namespace lierne {

/// The options of a sweep: those of each run, and what its variants are compared with. With `out`, rows are kept in
/// results.jsonl of that folder and the page in report.html; a row that is there is not run again.
struct SweepOptions : Options {
  std::string baseline{};  ///< a variant's label, or a value of an axis; empty: the first value of the first axis
  std::vector<std::string> only{};  ///< `axis=value`: of that axis the values named so alone; others keep all

  SweepOptions() = default;
  SweepOptions(Options options, std::string against = {}) : Options(std::move(options)), baseline(std::move(against)) {}

  /// Adds every option to a CLI11 application (include <CLI/CLI.hpp>).
  void add_to(CLI::App& app);
  /// Reads the command line, as `Options::parse` does.
  static SweepOptions parse(int argc, char** argv);
  /// Every option as a file that `--config` reads back.
  std::string to_toml() const;
};

/// What a sweep ended with.
struct SweepResult {
  std::vector<Row> rows{};     ///< in the order of the cells
  std::size_t ran = 0;         ///< rows that were not there before
  Summary summary{};
};

namespace detail {

/// The part of a sweep that is compiled once.
class Grid {
 public:
  explicit Grid(SweepOptions const& options);
  ~Grid();
  /// Ends the planning: up to here `run` only notes its cell, so that what is wrong is said before the first run.
  void begin();
  void run(Cell const& cell, FunctionRef<Trial()> make);
  SweepResult finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <std::size_t k, class Axes, class Body>
void for_each_cell(Grid& grid, Cell const& cell, Axes const& axes, Body const& body) {
  if constexpr (k + 1 == std::tuple_size_v<Axes>) {
    static_assert(requires { { body() } -> std::same_as<Trial>; },
                  "sweep: the body must take one value of each axis but seeds and rates, by value, and return a trial "
                  "(write [&](auto position, auto rule) { return ln::trial(model, rule, data); })");
    grid.run(cell, [&] { return body(); });
  } else {
    static_assert(requires { std::get<k>(axes).size(); }, "sweep: the axes come first, then one body");
    std::get<k>(axes).each(cell, body, [&](Cell const& next, auto const& rest) {
      for_each_cell<k + 1>(grid, next, axes, rest);
    });
  }
}

}  // namespace detail

/// Runs the body's trial for every combination of the axes, the last axis fastest, and compares what came of them.
///
/// `sweep(options, axes..., body)`: the body takes one value of each axis but `seeds` and `rates`, in their order and by
/// value, and returns a `trial`. Every run sees the same batches in the same order; only the first weights differ by seed.
/// A run whose loss is not finite is a row like the others, with the step at which that was. M structures and R rules
/// compile as M + R.
/// Rows are kept by a key of specification, rule, settings, data, seed, steps and this program's file; a row that is there
/// is not run again, so a sweep that was stopped goes on where it was. The table goes to standard output.
/// Errors: those of `Trainer` other than divergence; `LaunchError` under several processes; `ArgumentError` for `minutes` and
/// checkpoints, and for an `only` that names no value of an axis.
/// Example: `sweep(options, axis<Rope{}, NoPosition{}>("position"), axis("rule", adamw(), adopt()), seeds(3),
///   [&](auto position, auto rule) { return trial(Model<with(base, position())>{}, rule, data); });`
template <class... AxesThenBody>
SweepResult sweep(SweepOptions const& options, AxesThenBody const&... axes_then_body) {
  auto const all = std::tie(axes_then_body...);
  auto const& body = std::get<sizeof...(AxesThenBody) - 1>(all);
  detail::Grid grid(options);
  detail::for_each_cell<0>(grid, {}, all, body);
  grid.begin();
  detail::for_each_cell<0>(grid, {}, all, body);
  return grid.finish();
}

#if LIERNE_BODIES
LIERNE_INLINE void SweepOptions::add_to(CLI::App& app) {
  Options::add_to(app);
  app.add_option("--baseline", baseline,
                 "variant, or value of an axis, that others are tested against (default: the first)");
  app.add_option("--only", only, "AXIS=VALUE: run that value of the axis alone; once for each value (default: all)")
      ->allow_extra_args(false);
}

LIERNE_INLINE SweepOptions SweepOptions::parse(int argc, char** argv) {
  SweepOptions options;
  CLI::App app{"compares variants of language models and their training"};
  options.add_to(app);
  detail::parse_or_exit(app, argc, argv);
  detail::validate_or_exit(options);
  return options;
}

LIERNE_INLINE std::string SweepOptions::to_toml() const {
  return Options::to_toml() + "baseline = " + to_toml_value(baseline) + "\nonly = " + to_toml_value(only) + "\n";
}

namespace detail {

struct Grid::State {
  SweepOptions options;
  std::vector<Row> planned{};
  std::vector<std::string> settings{};  // every `axis=value` that there is
  bool planning = true;
  std::optional<ResultsFile> file{};
  SweepResult result{};
};

LIERNE_INLINE Grid::Grid(SweepOptions const& options) : state_(new State{.options = options}) {
  auto const world = Launch::from_environment().world;
  check<LaunchError>(world == 1, "sweep: expected one process, found ", world,
                     " (start one sweep a process, each with an --out of its own)");
  check(options.minutes == 0, "sweep: expected no limit of minutes, for rows compare runs of equal steps, found ",
        options.minutes, " (use --steps)");
  check(options.checkpoint_every == 0 && !options.last_model_only && !options.resume && !options.resume_previous,
        "sweep: expected no checkpoints to write or to go on from, for a sweep keeps its finished rows (leave out checkpoint_every, "
        "last_model_only, resume and resume_previous)");
  if (!options.out.empty()) state_->file.emplace(options.out);
}

LIERNE_INLINE Grid::~Grid() = default;

/// Whether the options leave a cell of such settings in.
inline bool chosen(std::vector<std::string> const& only, std::vector<Setting> const& settings) {
  return std::ranges::all_of(settings, [&](Setting const& setting) {
    auto const names_axis = [&](std::string const& one) { return one.starts_with(setting.axis + "="); };
    return std::ranges::none_of(only, names_axis) || std::ranges::find(only, setting.axis + "=" + setting.value) != only.end();
  });
}

LIERNE_INLINE void Grid::begin() {
  state_->planning = false;
  for (auto const& one : state_->options.only) {
    auto const& known = state_->settings;
    check(std::ranges::find(known, one) != known.end(), "sweep: only: expected AXIS=VALUE of an axis of this sweep, found '", one, "'",
          did_you_mean(one, known));
  }
  summarise(state_->planned, state_->options.baseline);
}

LIERNE_INLINE void Grid::run(Cell const& cell, FunctionRef<Trial()> make) {
  auto& [options, planned, settings, planning, file, result] = *state_;
  if (planning) {
    for (auto const& setting : cell.settings) {
      auto const named = setting.axis + "=" + setting.value;
      if (std::ranges::find(settings, named) == settings.end()) settings.push_back(named);
    }
  }
  if (!chosen(options.only, cell.settings)) return;
  if (planning) {
    planned.push_back({.settings = cell.settings});
    return;
  }
  auto trial = make();
  trial.rule = trial.rule.at(cell.rate.value_or(trial.rule.rate()) * cell.rate_factor);
  Row row{.settings = cell.settings,
          .spec = trial.model->name(),
          .rule = trial.rule.name(),
          .rate = trial.rule.rate(),
          .seed = options.seed + cell.seed,
          .data = trial.data.fingerprint,
          .steps = options.steps};
  std::int64_t length = 0, batch = 0;
  trial.data.replay([&](Batches& batches) {
    length = batches.length();
    batch = batches.batch_size();
  });
  std::vector<std::pair<std::string, std::string>> parts{
      {"spec", row.spec}, {"plan", to_string(trial.model->plan())}, {"rule", row.rule},
      {"rule numbers", hexadecimal(trial.rule.fingerprint(row.steps))}, {"data", hexadecimal(row.data)},
      {"length", std::to_string(length)}, {"batch", std::to_string(batch)}, {"seed", std::to_string(row.seed)},
      {"steps", std::to_string(row.steps)}, {"device", options.device}, {"binary", binary_id()}};
  for (auto const& setting : row.settings) parts.emplace_back("axis " + setting.axis, setting.value);
  row.key = row_key(parts);

  auto const* finished = file ? file->find(row.key) : nullptr;
  if (finished != nullptr) {
    auto current = std::move(row.settings);
    row = *finished;
    row.settings = std::move(current);  // what is tuned and what compared may have changed since
  } else {
    Options one = options;
    one.seed = row.seed;
    one.out.clear();
    one.profile = 0;
    one.verbose = false;
    one.sample = 0;
    one.quiet = true;
    run_trial(std::move(trial), one, row);
    if (file) file->append(row);
    ++result.ran;
  }
  result.rows.push_back(std::move(row));
  if (options.quiet) return;
  auto const& shown = result.rows.back();
  auto const came = shown.diverged_at != 0 ? message("diverged at step ", shown.diverged_at)
                                           : fixed(shown.bits_per_byte, 4) + " bits/byte";
  std::fprintf(stderr, "sweep %zu/%zu  %s, seed %llu  %s%s\n", result.rows.size(), planned.size(),
               label_of(shown.settings).c_str(), static_cast<unsigned long long>(shown.seed), came.c_str(),
               finished != nullptr ? " (kept)" : "");
}

LIERNE_INLINE SweepResult Grid::finish() {
  auto& [options, planned, settings, planning, file, result] = *state_;
  result.summary = summarise(result.rows, options.baseline);
  if (!options.out.empty()) {
    write_file(std::filesystem::path(options.out) / "report.html", to_html(result.summary, "Sweep"));
  }
  std::fputs(to_text(result.summary).c_str(), stdout);
  return std::move(result);
}

}  // namespace detail
#endif

}  // namespace lierne
