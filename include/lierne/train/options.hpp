// SPDX-License-Identifier: Apache-2.0
// What a person sets at launch: the run-time options of a training program, from the command line and a file.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/train/choice.hpp"

#if LIERNE_BODIES
#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "lierne/core/error.hpp"
#include "lierne/core/uncaught.hpp"
#include "lierne/train/options_file.hpp"
#endif

namespace CLI {
class App;
}

namespace lierne {

/// The options of a training program, with their defaults. `--help` prints each with its meaning, its unit and its default.
///
/// A field is the option of its name (`checkpoint_every`: `--checkpoint-every`) and the key of its name in the TOML file of
/// `--config`. The command line goes before the file, the file before the defaults.
/// Example: `auto options = Options::parse(argc, argv);`
struct Options {
  std::string preset{};               ///< chosen of the program's `presets`; empty: it has none
  std::string rule{};                 ///< chosen of its `rules`
  std::string data = "data/austen";
  std::string tokenizer = "tests/golden/tokenizer/tokenizer.json";
  std::string out{};                  ///< run directory; empty: nothing is written
  std::string device = "cpu";         ///< cpu, cuda or cuda:N
  std::int64_t steps = 1000;
  double minutes = 0;                 ///< 0: no limit; else fewer steps, so that training ends about then
  std::int64_t validate_every = 250;  ///< steps; 0: at the end alone
  bool validate_first = false;        ///< also before the first step
  std::int64_t sample = 120;          ///< tokens of text generated at the end; 0: none
  int threads = 0;                    ///< of LibTorch's pool; 0: its own choice
  std::uint64_t seed = 42;            ///< of the model's first values
  bool quiet = false;                 ///< no progress lines
  bool require_fused = false;         ///< an update rule without a fused pass where the weights lie is an error
  std::uint64_t data_seed = 42;       ///< of the order of the windows: `shuffle(options.data_seed)`
  std::int64_t accumulate = 1;        ///< batches whose gradients make one step
  std::int64_t checkpoint_every = 0;  ///< steps; 0: none
  std::int64_t keep = 3;              ///< checkpoints that stay, the latest ones
  bool last_model_only = false;       ///< the checkpoint of the finished run holds weights alone, in the form to judge them by
  std::string export_dtype{};         ///< what it rounds them to: float64, float32, float16 or bfloat16; empty: as they are
  std::vector<std::string> checkpoint_exclude{};  ///< names or patterns of tensors that checkpoints leave out
  std::string weights{};              ///< file or folder whose weights the run begins with; empty: first values by `seed`
  std::vector<std::string> weights_exclude{};     ///< names or patterns of weights that keep their first values
  bool resume = false;                ///< go on from the latest checkpoint in `out`
  bool resume_previous = false;       ///< go on from the one before it
  std::int64_t early_stop = 0;        ///< validations without improvement after which training ends; 0: off
  double spike = 0;                   ///< a step whose gradient norm is above so many running medians is left out; 0: off
  bool deterministic = false;         ///< the same bits every time, or an error
  std::int64_t profile = 0;           ///< steps that are profiled; 0: none
  bool verbose = false;               ///< a progress line for every step, with every number

  /// Adds every option, and `--config`, to a CLI11 application, so that a program can add its own beside them (include
  /// <CLI/CLI.hpp>); these may stand in the file as well. The options must stay where they are until it has parsed. From
  /// then on an error that nobody catches ends the program by its message: see `report_uncaught_errors`.
  /// Errors (when it parses): `CLI::ParseError` naming option or key, file and line, what was expected and what was found.
  /// Example: `CLI::App app; options.add_to(app); app.add_option("--width", width, "of the model"); CLI11_PARSE(app, argc, argv);`
  void add_to(CLI::App& app);
  /// The same with `--preset` and `--rule` of the lists that are given; each is the first of its list unless another is chosen.
  /// Errors: for an unknown name all names, the one found and the nearest. Example: `options.add_to(app, presets, rules);`
  template <std::derived_from<Choice>... Lists>
    requires(sizeof...(Lists) > 0)
  void add_to(CLI::App& app, Lists const&... lists) {
    add_to(app);
    (add_choice(app, lists), ...);
  }

  /// Reads the command line; on `--help` or an error prints and ends the program, as CLI11 does.
  /// Example: `auto options = Options::parse(argc, argv, presets, rules);`
  template <std::derived_from<Choice>... Lists>
  static Options parse(int argc, char** argv, Lists const&... lists) {
    return parse_choices(argc, argv, {static_cast<Choice const*>(&lists)...});
  }

  /// Holds the options together. Errors: `ArgumentError` naming the option that is outside its bounds, or the two that
  /// exclude each other.
  void validate() const;

  /// Every option as a TOML file that `--config` reads back as the same options, exactly.
  std::string to_toml() const;

  /// Every option as its name and its value in TOML, in the order above; `preset` and `rule` where one was chosen.
  std::vector<std::pair<std::string, std::string>> entries() const;

  friend bool operator==(Options const&, Options const&) = default;

 private:
  void add_choice(CLI::App& app, Choice const& choice);
  static Options parse_choices(int argc, char** argv, std::initializer_list<Choice const*> lists);
};

namespace detail {
/// Reads the command line into what was added to `app`; on `--help` or an error prints and ends the program, and so does
/// an uncaught error from now on.
void parse_or_exit(CLI::App& app, int argc, char** argv);
/// Holds options that were read so together; on an error prints and ends the program alike.
void validate_or_exit(Options const& options);
}  // namespace detail

#if LIERNE_BODIES
namespace detail {

enum class Bound { none, above_zero, not_below_zero };

/// Calls `row(name, field, bound, meaning)` for each option: the one list that the command line, the file and the checks go by.
template <class O, class Row>
void each_option(O& o, Row&& row) {
  using enum Bound;
  row("data", o.data, none, "text file, or folder of .txt files, to train on");
  row("tokenizer", o.tokenizer, none, "tokenizer.json that encodes the text");
  row("out", o.out, none, "run directory for metrics, report and checkpoints, made if missing (\"\": none)");
  row("device", o.device, none, "cpu, cuda or cuda:N");
  row("steps", o.steps, above_zero, "optimizer steps");
  row("minutes", o.minutes, not_below_zero, "end training after about so many minutes, by fewer steps (0: no limit)");
  row("validate_every", o.validate_every, not_below_zero, "steps between validations (0: at the end alone)");
  row("validate_first", o.validate_first, none, "validate before the first step too");
  row("sample", o.sample, not_below_zero, "tokens of text to generate at the end (0: none)");
  row("threads", o.threads, not_below_zero, "threads of tensor operations (0: LibTorch's choice)");
  row("seed", o.seed, none, "seed of the first weights");
  row("quiet", o.quiet, none, "print results alone, no progress");
  row("require_fused", o.require_fused, none, "stop where an update rule has no fused pass on the device");
  row("data_seed", o.data_seed, none, "seed of the order of the windows");
  row("accumulate", o.accumulate, above_zero, "batches whose gradients make one step");
  row("checkpoint_every", o.checkpoint_every, not_below_zero, "steps between checkpoints (0: none)");
  row("keep", o.keep, above_zero, "checkpoints that stay, the latest ones");
  row("last_model_only", o.last_model_only, none, "save weights alone when the run is finished, for others to use");
  row("export_dtype", o.export_dtype, none, "dtype of these weights: float64, float32, float16 or bfloat16 (\"\": as they are)");
  row("checkpoint_exclude", o.checkpoint_exclude, none, "name or pattern (*) of tensors that checkpoints leave out; once or more");
  row("weights", o.weights, none, "begin with the weights of a safetensors file, a checkpoint or a run directory (\"\": first values)");
  row("weights_exclude", o.weights_exclude, none, "name or pattern (*) of weights that keep their first values; once or more");
  row("resume", o.resume, none, "go on from the latest checkpoint in the run directory");
  row("resume_previous", o.resume_previous, none, "go on from the checkpoint before the latest");
  row("early_stop", o.early_stop, not_below_zero, "validations without improvement after which training ends (0: off)");
  row("spike", o.spike, not_below_zero, "leave out a step whose gradient norm is above so many running medians (0: off)");
  row("deterministic", o.deterministic, none, "the same bits every time; an operation that cannot is an error");
  row("profile", o.profile, not_below_zero, "steps to profile (0: none)");
  row("verbose", o.verbose, none, "a progress line for every step, with every number");
}

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

template <class T>
constexpr char const* kind_of_value() {
  return std::is_same_v<T, bool> ? "true or false" : std::is_integral_v<T> ? "a whole number"
         : std::is_floating_point_v<T> ? "a number" : "text";
}

inline char const* bound_text(Bound bound) {
  return bound == Bound::above_zero ? " above 0" : bound == Bound::not_below_zero ? ", 0 or more" : "";
}

template <class T>
bool in_bound(T const& value, Bound bound) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    if (!std::isfinite(static_cast<double>(value))) return false;
    return bound == Bound::none || value > T{0} || (bound == Bound::not_below_zero && value == T{0});
  }
  return true;
}

template <class T>
std::string shown(T const& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    return number(value);
  } else if constexpr (is_list<T>) {
    return to_toml_value(value);
  } else {
    return value.empty() ? "\"\"" : value;
  }
}

/// Text from the command line or the file as a value: decimal, whole, within its bound.
template <class T>
void assign(T& value, std::string const& text, std::string const& option, Bound bound) {
  if constexpr (std::is_arithmetic_v<T>) {
    T read{};
    auto const [end, failed] = std::from_chars(text.data(), text.data() + text.size(), read);
    if (failed != std::errc() || end != text.data() + text.size() || !in_bound(read, bound)) {
      throw CLI::ValidationError(option, message("expected ", kind_of_value<T>(), bound_text(bound), ", found '", text, "'"));
    }
    value = read;
  } else {
    value = text;
  }
}

LIERNE_INLINE void parse_or_exit(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& error) {
    std::exit(app.exit(error));
  }
}

LIERNE_INLINE void validate_or_exit(Options const& options) {
  try {
    options.validate();
  } catch (ArgumentError const& error) {
    std::fprintf(stderr, "%s\nRun with --help for more information.\n", error.what());
    std::exit(static_cast<int>(CLI::ExitCodes::ValidationError));
  }
}

}  // namespace detail

LIERNE_INLINE void Options::add_to(CLI::App& app) {
  report_uncaught_errors();
  add_options_file(app);
  detail::each_option(*this, [&app](std::string const& name, auto& field, detail::Bound bound, std::string const& meaning) {
    using T = std::remove_reference_t<decltype(field)>;
    auto const option = detail::option_of_key(name);
    if constexpr (std::is_same_v<T, bool>) {
      app.add_flag(option, field, meaning + (field ? " (default: on)" : " (default: off)"));
    } else if constexpr (detail::is_list<T>) {
      // One value for each time it is given, so that what follows it on the command line is none of its own.
      app.add_option(option, field, meaning)->allow_extra_args(false)->default_str(detail::shown(field));
    } else {
      app.add_option_function<std::string>(
             option, [&field, option, bound](std::string const& text) { detail::assign(field, text, option, bound); }, meaning)
          ->type_name(std::is_floating_point_v<T> ? "FLOAT" : std::is_unsigned_v<T> ? "UINT" : std::is_integral_v<T> ? "INT" : "TEXT")
          ->default_str(detail::shown(field));
    }
  });
}

LIERNE_INLINE void Options::add_choice(CLI::App& app, Choice const& choice) {
  auto& chosen = this->*choice.field();
  chosen = choice.entries()[choice.find(chosen)].name;
  auto const option = detail::option_of_key(choice.option());
  app.add_option_function<std::string>(
         option,
         [&chosen, option, choice](std::string const& name) {
           if (auto const refusal = choice.refusal(name); !refusal.empty()) throw CLI::ValidationError(option, refusal);
           chosen = name;
         },
         choice.help())
      ->type_name("TEXT")
      ->default_str(chosen);
}

LIERNE_INLINE Options Options::parse_choices(int argc, char** argv, std::initializer_list<Choice const*> lists) {
  Options options;
  CLI::App app{"trains a language model"};
  options.add_to(app);
  for (auto const* list : lists) options.add_choice(app, *list);
  detail::parse_or_exit(app, argc, argv);
  detail::validate_or_exit(options);
  return options;
}

LIERNE_INLINE void Options::validate() const {
  detail::each_option(*this, [](std::string const& name, auto const& field, detail::Bound bound, std::string const&) {
    using T = std::remove_cvref_t<decltype(field)>;
    check(detail::in_bound(field, bound), "options: ", name, ": expected ", detail::kind_of_value<T>(),
          detail::bound_text(bound), ", found ", detail::shown(field));
  });
  auto const excludes = [](bool a, bool b, char const* names, char const* how) {
    check(!(a && b), "options: ", names, " exclude each other (", how, ")");
  };
  excludes(quiet, verbose, "quiet and verbose", "give one of them, or none");
  excludes(resume, resume_previous, "resume and resume_previous", "give one of them");
  auto const needs_out = [&](bool given, char const* name) {
    check(!given || !out.empty(), "options: ", name, " needs a run directory (give out)");
  };
  needs_out(checkpoint_every > 0, "checkpoint_every");
  needs_out(last_model_only, "last_model_only");
  needs_out(resume, "resume");
  needs_out(resume_previous, "resume_previous");
  bool const known = export_dtype == "float64" || export_dtype == "float32" || export_dtype == "float16" || export_dtype == "bfloat16";
  check(known || export_dtype.empty(), "options: export_dtype: expected float64, float32, float16 or bfloat16, found '", export_dtype, "'");
  check(export_dtype.empty() || last_model_only, "options: export_dtype is that of weights saved alone (give last_model_only)");
  check(weights_exclude.empty() || !weights.empty(), "options: weights_exclude leaves out of weights that are loaded (give weights)");
  check(early_stop == 0 || validate_every > 0, "options: early_stop needs validations between steps (give validate_every)");
}

LIERNE_INLINE std::vector<std::pair<std::string, std::string>> Options::entries() const {
  std::vector<std::pair<std::string, std::string>> all;
  // Of a program without lists nothing is said, which its own command line would not take either.
  if (!preset.empty()) all.emplace_back("preset", to_toml_value(preset));
  if (!rule.empty()) all.emplace_back("rule", to_toml_value(rule));
  detail::each_option(*this, [&](std::string const& name, auto const& field, detail::Bound, std::string const&) {
    all.emplace_back(name, to_toml_value(field));
  });
  return all;
}

LIERNE_INLINE std::string Options::to_toml() const {
  std::string text;
  for (auto const& [name, value] : entries()) text += name + " = " + value + "\n";
  return text;
}
#endif

}  // namespace lierne
