// SPDX-License-Identifier: Apache-2.0
// What a person sets at launch: the run-time options of a training program.
#pragma once

#include <cstdint>
#include <string>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <CLI/CLI.hpp>
#include <cstdlib>
#endif

namespace CLI {
class App;
}

namespace lierne {

/// The options of a training program, with their defaults. `--help` prints each with its meaning.
/// Example: `auto options = Options::parse(argc, argv);`
struct Options {
  std::string data = "data/austen";
  std::string tokenizer = "tests/golden/tokenizer/tokenizer.json";
  std::string out{};                  ///< run directory; empty: nothing is written
  std::string device = "cpu";         ///< cpu, cuda or cuda:N
  std::int64_t steps = 1000;
  double minutes = 0;                 ///< 0: no limit; else fewer steps, so that training ends about then
  std::int64_t validate_every = 250;  ///< steps; 0: at the end alone
  std::int64_t sample = 120;          ///< tokens of text generated at the end; 0: none
  int threads = 0;                    ///< of LibTorch's pool; 0: its own choice
  std::uint64_t seed = 42;            ///< of the model's first values
  bool quiet = false;                 ///< no progress lines
  bool require_fused = false;         ///< an update rule without a fused pass where the weights lie is an error

  /// Adds every option to a CLI11 application, so that a program can add its own beside them (include <CLI/CLI.hpp>).
  void add_to(CLI::App& app);

  /// Reads the command line; on `--help` or an error prints and ends the program, as CLI11 does.
  static Options parse(int argc, char** argv);
};

namespace detail {
/// Reads the command line into what was added to `app`; on `--help` or an error prints and ends the program.
void parse_or_exit(CLI::App& app, int argc, char** argv);
}  // namespace detail

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE void parse_or_exit(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& error) {
    std::exit(app.exit(error));
  }
}

}  // namespace detail

LIERNE_INLINE void Options::add_to(CLI::App& app) {
  app.add_option("--data", data, "text file, or folder of .txt files, to train on")->capture_default_str();
  app.add_option("--tokenizer", tokenizer, "tokenizer.json that encodes the text")->capture_default_str();
  app.add_option("--out", out, "folder for metrics.jsonl (made if missing; default: none)");
  app.add_option("--device", device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--steps", steps, "optimizer steps")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--minutes", minutes, "end training after about so many minutes, by fewer steps (0: no limit)")
      ->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--validate-every", validate_every, "steps between validations (0: at the end alone)")
      ->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--sample", sample, "tokens of text to generate at the end (0: none)")
      ->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--threads", threads, "threads of tensor operations (0: LibTorch's choice)")
      ->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--seed", seed, "seed of the first weights")->capture_default_str();
  app.add_flag("--quiet", quiet, "print results alone, no progress");
  app.add_flag("--require-fused", require_fused, "stop where an update rule has no fused pass on the device");
}

LIERNE_INLINE Options Options::parse(int argc, char** argv) {
  Options options;
  CLI::App app{"trains a language model"};
  options.add_to(app);
  detail::parse_or_exit(app, argc, argv);
  return options;
}
#endif

}  // namespace lierne
