// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/options.hpp"

#include <CLI/CLI.hpp>
#include <doctest/doctest.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>

#include "lierne/core/error.hpp"
#include "lierne/core/uncaught.hpp"

using namespace lierne;

namespace {

/// Parses as `Options::parse` does, but lets errors out.
Options parse(std::vector<std::string> arguments) {
  Options options;
  CLI::App app;
  options.add_to(app);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes the last first
  app.parse(arguments);
  return options;
}

/// Every option off its default.
Options all_other() {
  return {.data = "x.txt",
          .tokenizer = "folder with \"quotes\"/t.json",
          .out = "runs/ä",
          .device = "cuda:1",
          .steps = 7,
          .minutes = 0.1,
          .validate_every = 0,
          .validate_first = true,
          .sample = 0,
          .threads = 2,
          .seed = ~std::uint64_t{0},
          .quiet = true,
          .require_fused = true,
          .data_seed = 1,
          .accumulate = 4,
          .checkpoint_every = 50,
          .keep = 1,
          .last_model_only = true,
          .export_dtype = "bfloat16",
          .checkpoint_exclude = {"*.exp_avg", "with \"quotes\""},
          .weights = "runs/b",
          .weights_exclude = {"output.weight"},
          .resume = true,
          .resume_previous = true,
          .early_stop = 3,
          .spike = 1.0 / 3,
          .deterministic = true,
          .profile = 5,
          .verbose = true};
}

std::string on_command_line(std::string key) {
  std::ranges::replace(key, '_', '-');
  return "--" + key;
}

struct File {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "lierne_options.toml";
  explicit File(std::string const& text) { std::ofstream(path) << text; }
  ~File() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("options have defaults, and the command line replaces each of them") {
  auto const defaults = parse({});
  CHECK(defaults == Options{});
  CHECK(defaults.steps == 1000);
  CHECK(defaults.device == "cpu");
  CHECK(defaults.out.empty());
  CHECK(defaults.accumulate == 1);
  CHECK(defaults.keep == 3);
  auto const wanted = all_other();
  auto const others = wanted.entries(), usual = defaults.entries();
  REQUIRE(others.size() == 29);
  for (std::size_t i = 0; i < others.size(); ++i) CHECK(others[i] != usual[i]);
  CHECK(parse({"--data", "x.txt", "--tokenizer", "folder with \"quotes\"/t.json", "--out", "runs/ä", "--device", "cuda:1",
               "--steps", "7", "--minutes", "0.1", "--validate-every", "0", "--validate-first", "--sample", "0", "--threads", "2", "--seed",
               "18446744073709551615", "--quiet", "--require-fused", "--data-seed", "1", "--accumulate", "4",
               "--checkpoint-every", "50", "--keep", "1", "--last-model-only", "--export-dtype", "bfloat16",
               "--checkpoint-exclude", "*.exp_avg", "--checkpoint-exclude", "with \"quotes\"", "--weights", "runs/b",
               "--weights-exclude", "output.weight", "--resume", "--resume-previous", "--early-stop", "3", "--spike",
               "0.3333333333333333", "--deterministic", "--profile", "5", "--verbose"}) == wanted);
}

TEST_CASE("the file that options write is read back as the same options") {
  for (auto const& options : {Options{}, all_other()}) {
    File const file(options.to_toml());
    CHECK(parse({"--config", file.path.string()}) == options);
  }
  CHECK(Options{}.to_toml().starts_with("data = \"data/austen\"\n"));
  CHECK(all_other().to_toml().find("\nspike = 0.3333333333333333\n") != std::string::npos);
}

TEST_CASE("a list takes one value each time it is given, and an array or a value in the file") {
  auto const excluded = [](std::vector<std::string> arguments) { return parse(std::move(arguments)).checkpoint_exclude; };
  using List = std::vector<std::string>;
  CHECK(excluded({"--checkpoint-exclude=a", "--checkpoint-exclude", "b"}) == List{"a", "b"});
  CHECK_THROWS_AS(excluded({"--checkpoint-exclude", "a", "b"}), CLI::ParseError);
  File const file("checkpoint_exclude = [\"a\", \"b\"]\nweights_exclude = \"c\"\n");
  CHECK(excluded({"--config", file.path.string()}) == List{"a", "b"});
  CHECK(parse({"--config", file.path.string()}).weights_exclude == List{"c"});
  CHECK(excluded({"--config", file.path.string(), "--checkpoint-exclude", "d"}) == List{"d"});
  File const none("checkpoint_exclude = []\n");
  CHECK(excluded({"--config", none.path.string()}).empty());
  File const wrong("checkpoint_exclude = [1]\n");
  CHECK_THROWS_WITH_AS(parse({"--config", wrong.path.string()}), doctest::Contains("expected text in quotes, or an array of such, found 1"), CLI::ParseError);
}

TEST_CASE("the command line goes before the file, and a program's own options may stand in both") {
  File const file("steps = 5\nminutes = 2\nwidth = 64\ndepth = 3\n");
  Options options;
  CLI::App app;
  int width = 32, depth = 2;
  app.add_option("--depth", depth);
  options.add_to(app);
  app.add_option("--width", width);
  app.parse(std::vector<std::string>{"128", "--width", file.path.string(), "--config", "6", "--steps"});
  CHECK(options.steps == 6);
  CHECK(options.minutes == 2);
  CHECK(width == 128);
  CHECK(depth == 3);
}

TEST_CASE("a program that has the options ends by the message of an error that nobody catches") {
  auto const usual = std::set_terminate(std::abort);
  Options options;
  CLI::App app;
  options.add_to(app);
  bool const by_message = std::get_terminate() == detail::end_by_message;
  CHECK(by_message);
  std::set_terminate(usual);
}

TEST_CASE("the help names every option with its default and its meaning") {
  Options options;
  CLI::App app;
  options.add_to(app);
  auto const help = app.help();
  for (auto const& [key, value] : options.entries()) {
    auto const option = on_command_line(key);
    CAPTURE(option);
    auto const at = help.find("  " + option + " ");
    REQUIRE(at != std::string::npos);
    auto const end = help.find("\n  --", at);
    auto const entry = help.substr(at, end - at);
    CHECK(entry.size() > option.size() + 20);
    auto const shown = value == "false"             ? std::string("(default: off)")
                       : value.ends_with(".0")      ? "=" + value.substr(0, value.size() - 2)
                       : value.starts_with('"') && value.size() > 2 ? "=" + value.substr(1, value.size() - 2)
                                                    : "=" + value;
    CAPTURE(entry);
    CHECK(entry.find(shown) != std::string::npos);
  }
  CHECK(help.find("--config FILE") != std::string::npos);
}

TEST_CASE("a preset and a rule are chosen from lists, on the command line and in the file") {
  Choice const presets("preset", &Options::preset, "presets", "model to train", {{"small", "12 parameters"}, {"large", "99 parameters"}});
  Choice const rules("rule", &Options::rule, "rules", "update rule", {{"adamw", "of 2017"}, {"adopt", "of 2024"}});
  std::string help;
  auto const chosen = [&](std::vector<std::string> arguments) {
    Options options;
    CLI::App app;
    options.add_to(app, presets, rules);
    help = app.help();
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
    return options;
  };
  CHECK(chosen({}).preset == "small");
  CHECK(chosen({}).rule == "adamw");
  auto const others = chosen({"--rule", "adopt", "--preset", "large"});
  CHECK(others.preset == "large");
  CHECK(others.rule == "adopt");
  CHECK(others.to_toml().starts_with("preset = \"large\"\nrule = \"adopt\"\ndata = "));
  File const written(others.to_toml());
  CHECK(chosen({"--config", written.path.string()}) == others);
  CHECK(chosen({"--config", written.path.string(), "--preset", "small"}).preset == "small");

  CHECK(help.find("--preset TEXT=small") != std::string::npos);
  for (char const* line : {"small: 12 parameters\n", "large: 99 parameters\n", "adamw: of 2017\n", "adopt: of 2024\n"}) {
    CHECK(help.find(line) != std::string::npos);
  }

  CHECK_THROWS_WITH_AS(chosen({"--preset", "lrage"}), "--preset: expected one of small, large, found 'lrage' (did you mean 'large'?)",
                       CLI::ParseError);
  File const wrong("steps = 3\nrule = \"adopr\"\n");
  CHECK_THROWS_WITH_AS(chosen({"--config", wrong.path.string()}),
                       doctest::Contains("lierne_options.toml:2: rule: expected one of adamw, adopt, found 'adopr' (did you mean 'adopt'?)"),
                       CLI::ParseError);
  // Without lists there is nothing to choose, and nothing is written.
  CHECK_THROWS_WITH_AS(parse({"--preset", "small"}), doctest::Contains("unknown option '--preset'"), CLI::ParseError);
  CHECK(Options{}.to_toml().find("preset") == std::string::npos);
}

TEST_CASE("unknown options and impossible values are refused, with what was expected") {
  CHECK_THROWS_WITH_AS(parse({"--stps", "3"}), "unknown option '--stps' (did you mean '--steps'?)", CLI::ParseError);
  CHECK_THROWS_WITH_AS(parse({"--steps", "0"}), "--steps: expected a whole number above 0, found '0'", CLI::ParseError);
  CHECK_THROWS_WITH_AS(parse({"--steps", "many"}), "--steps: expected a whole number above 0, found 'many'", CLI::ParseError);
  CHECK_THROWS_WITH_AS(parse({"--minutes", "-1"}), "--minutes: expected a number, 0 or more, found '-1'", CLI::ParseError);
  CHECK_THROWS_WITH_AS(parse({"--seed", "-1"}), "--seed: expected a whole number, found '-1'", CLI::ParseError);
  CHECK_THROWS_AS(parse({"--spike", "nan"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--spike", "inf"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--accumulate", "0"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--keep", "0"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--threads", "99999999999"}), CLI::ParseError);
  CHECK(parse({"--steps", "010"}).steps == 10);
  File const file("keep = 0\n");
  CHECK_THROWS_WITH_AS(parse({"--config", file.path.string()}),
                       doctest::Contains("lierne_options.toml:1: keep: expected a whole number above 0, found '0'"), CLI::ParseError);
}

TEST_CASE("what does not go together is refused") {
  CHECK_NOTHROW(Options{}.validate());
  CHECK_NOTHROW((Options{.out = "a", .checkpoint_every = 5, .resume = true}.validate()));
  auto const refused = [](Options const& options, char const* words) {
    CHECK_THROWS_WITH_AS(options.validate(), doctest::Contains(words), ArgumentError);
  };
  refused({.steps = 0}, "options: steps: expected a whole number above 0, found 0");
  refused({.spike = -1}, "options: spike: expected a number, 0 or more, found -1");
  refused({.quiet = true, .verbose = true}, "quiet and verbose exclude each other");
  refused({.out = "a", .resume = true, .resume_previous = true}, "resume and resume_previous exclude each other");
  refused({.checkpoint_every = 5}, "checkpoint_every needs a run directory");
  refused({.resume = true}, "resume needs a run directory");
  refused({.resume_previous = true}, "resume_previous needs a run directory");
  refused({.last_model_only = true}, "last_model_only needs a run directory");
  refused({.out = "a", .export_dtype = "bfloat16"}, "give last_model_only");
  refused({.out = "a", .last_model_only = true, .export_dtype = "int8"}, "export_dtype: expected float64, float32, float16 or bfloat16, found 'int8'");
  refused({.weights_exclude = {"a"}}, "give weights");
  refused({.validate_every = 0, .early_stop = 2}, "early_stop needs validations");
}
