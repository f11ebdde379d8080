// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/options_file.hpp"

#include <CLI/CLI.hpp>
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "lierne/core/random.hpp"

using namespace lierne;

namespace {

/// A program with an option of each kind, some added before the file's, some after.
struct Program {
  std::int64_t steps = 10;
  std::uint64_t seed = 1;
  double rate = 0.5;
  std::string name = "none";
  bool quiet = false, on = true;
  std::vector<double> factors{};
  std::string choice = "a";
  CLI::App app{"a program"};

  Program() {
    app.add_option("--steps", steps)->check(CLI::PositiveNumber);
    add_options_file(app);
    app.add_option("--seed", seed);
    app.add_option("--learning-rate", rate);
    app.add_option("-n,--name", name);
    app.add_flag("--quiet", quiet);
    app.add_option("--on", on);
    app.add_option("--factors", factors);
    app.add_option("--choice", choice)->check(CLI::IsMember({"a", "b"}));
  }
  void parse(std::vector<std::string> arguments) {
    std::ranges::reverse(arguments);  // CLI11 takes the last first
    app.parse(arguments);
  }
};

struct File {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "lierne_options_file.toml";
  explicit File(std::string const& text) { std::ofstream(path, std::ios::binary) << text; }
  ~File() { std::filesystem::remove(path); }
};

void parse(Program& program, std::string const& text, std::vector<std::string> arguments = {}) {
  File const file(text);
  arguments.insert(arguments.begin(), {"--config", file.path.string()});
  program.parse(std::move(arguments));
}

std::string error(std::string const& text, std::vector<std::string> arguments = {}) {
  Program program;
  try {
    parse(program, text, std::move(arguments));
  } catch (CLI::ParseError const& error) {
    std::string what = error.what();
    auto const folder = std::filesystem::temp_directory_path().string() + "/";
    if (auto const at = what.find(folder); at != std::string::npos) what.erase(at, folder.size());
    return what;
  }
  return "no error";
}

}  // namespace

TEST_CASE("a file gives every kind of option, before and after its own") {
  Program program;
  parse(program, "# a run\nsteps = 1_000\nseed = 7\nlearning_rate = 1e-3\nname = \"a # \\\"b\\\"\"\nquiet = true\non = false\n"
                 "factors = [1, 2.5]\nchoice = 'b'\n");
  CHECK(program.steps == 1000);
  CHECK(program.seed == 7);
  CHECK(program.rate == 1e-3);
  CHECK(program.name == "a # \"b\"");
  CHECK(program.quiet);
  CHECK_FALSE(program.on);
  CHECK(program.factors == std::vector{1.0, 2.5});
  CHECK(program.choice == "b");
}

TEST_CASE("the command line goes before the file and the file before the defaults") {
  Program program;
  parse(program, "steps = 5\nquiet = true\nname = \"file\"\nfactors = [3]\n", {"--steps", "6", "--quiet=false", "--factors", "4"});
  CHECK(program.steps == 6);
  CHECK_FALSE(program.quiet);
  CHECK(program.name == "file");
  CHECK(program.factors == std::vector{4.0});
  CHECK(program.rate == 0.5);
}

TEST_CASE("what a program requires may stand in the file, and an empty file says nothing") {
  Program program;
  std::string needed;
  program.app.add_option("--needed", needed)->required();
  parse(program, "needed = 'x'\n");
  CHECK(needed == "x");
  Program other;
  parse(other, "");
  CHECK(other.steps == 10);
  Program without;
  without.parse({"--steps", "3"});
  CHECK(without.steps == 3);
}

TEST_CASE("values read back as themselves") {
  Random const random{3, 4};
  for (std::uint64_t i = 0; i < 300; ++i) {
    Program program;
    double const rate = std::exp(300 * random.normal(i)) * (i % 2 == 0 ? 1 : -1);
    if (!std::isfinite(rate)) continue;
    std::uint64_t const seed = i % 3 == 0 ? ~i : hash(std::to_string(i));
    std::string name;
    for (std::uint64_t k = 0; k < 12; ++k) name += static_cast<char>(1 + hash(std::to_string(k), i) % 127);
    parse(program, "learning_rate = " + to_toml_value(rate) + "\nseed = " + to_toml_value(seed) + "\nname = " +
                       to_toml_value(name) + "\nsteps = " + to_toml_value(std::int64_t{1} << (i % 63)) + "\n");
    CHECK(program.rate == rate);
    CHECK(program.seed == seed);
    CHECK(program.name == name);
    CHECK(program.steps == std::int64_t{1} << (i % 63));
  }
  CHECK(to_toml_value(1.0) == "1.0");
  CHECK(to_toml_value(1e-5) == "1e-05");
  CHECK(to_toml_value(true) == "true");
  CHECK(to_toml_value(~std::uint64_t{0}) == "\"18446744073709551615\"");
  CHECK(to_toml_value("a\"b\n") == "\"a\\\"b\\u000A\"");
}

TEST_CASE("an unknown key or option is named with its line and the nearest known one") {
  CHECK(error("seed = 1\n\nstep = 5\n") == "unknown key 'step' in lierne_options_file.toml:3 (did you mean 'steps'?)");
  CHECK(error("learning-rate = 1\n") == "unknown key 'learning-rate' in lierne_options_file.toml:1 (did you mean 'learning_rate'?)");
  CHECK(error("[run]\nsteps = 5\n").starts_with("unknown key 'run' in lierne_options_file.toml:1"));
  CHECK(error("config = 'x'\n").starts_with("unknown key 'config'"));
  CHECK(error("help = true\n").starts_with("unknown key 'help'"));
  CHECK(error("steps = 5\n", {"--stpes", "3"}) == "unknown option '--stpes' (did you mean '--steps'?)");
  CHECK(error("steps = 5\n", {"--learnin-rate=3"}) == "unknown option '--learnin-rate' (did you mean '--learning-rate'?)");
}

TEST_CASE("a wrong type is named with key, line, what was expected and what was found") {
  CHECK(error("\nsteps = 'many'\n") == "lierne_options_file.toml:2: steps: expected a whole number, found text 'many'");
  CHECK(error("steps = 1.5\n") == "lierne_options_file.toml:1: steps: expected a whole number, found 1.5");
  CHECK(error("seed = -1\n") == "lierne_options_file.toml:1: seed: expected a whole number, 0 or more, found -1");
  CHECK(error("seed = '7'\n") == "lierne_options_file.toml:1: seed: expected a whole number, 0 or more, found text '7'");
  CHECK(error("learning_rate = true\n") == "lierne_options_file.toml:1: learning_rate: expected a number, found true");
  CHECK(error("name = 3\n") == "lierne_options_file.toml:1: name: expected text in quotes, found 3");
  CHECK(error("quiet = 'yes'\n") == "lierne_options_file.toml:1: quiet: expected true or false, found text 'yes'");
  CHECK(error("on = 1\n") == "lierne_options_file.toml:1: on: expected true or false, found 1");
  CHECK(error("steps = [5]\n") == "lierne_options_file.toml:1: steps: expected a whole number, found an array");
  CHECK(error("name.first = 'a'\n") == "lierne_options_file.toml:1: name: expected text in quotes, found a table");
  CHECK(error("name = 2026-01-01\n") == "lierne_options_file.toml:1: name: expected text in quotes, found a date or time");
  CHECK(error("factors = [1, 'b']\n") ==
        "lierne_options_file.toml:1: factors: expected a number, or an array of such, found text 'b'");
  CHECK(error("steps = 1.5\n", {"--steps", "3"}).starts_with("lierne_options_file.toml:1: steps: expected"));  // even so
}

TEST_CASE("a value that its option refuses is named with key and line") {
  CHECK(error("\n\nsteps = 0\n").starts_with("lierne_options_file.toml:3: steps: "));
  CHECK(error("choice = 'c'\n").starts_with("lierne_options_file.toml:1: choice: "));
}

TEST_CASE("what is no file or no TOML is said") {
  CHECK(error("steps = \n").starts_with("lierne_options_file.toml:1: no TOML: "));
  CHECK(error("steps = 1\nsteps = 2\n").starts_with("lierne_options_file.toml:2: no TOML: "));
  Program program;
  CHECK_THROWS_WITH_AS(program.parse({"--config", "/no/such.toml"}), doctest::Contains("/no/such.toml: the file of --config cannot be read"),
                       CLI::ParseError);
  Program other;
  CHECK_THROWS_WITH_AS(other.parse({"--config", "/tmp"}), doctest::Contains("cannot be read"), CLI::ParseError);
}

TEST_CASE("help comes before any error in the file") {
  Program program;
  CHECK_THROWS_AS(program.parse({"--help", "--config", "/no/such.toml", "--stpes", "1"}), CLI::CallForHelp);
}
