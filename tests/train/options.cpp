// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/options.hpp"

#include <CLI/CLI.hpp>
#include <doctest/doctest.h>

using lierne::Options;

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

}  // namespace

TEST_CASE("options have defaults, and the command line replaces them") {
  auto const defaults = parse({});
  CHECK(defaults.steps == 1000);
  CHECK(defaults.device == "cpu");
  CHECK(defaults.out.empty());
  CHECK_FALSE(defaults.require_fused);
  auto const given = parse({"--steps", "7", "--minutes", "0.5", "--out", "runs/a", "--device", "cuda:1", "--data", "x.txt",
                            "--tokenizer", "t.json", "--validate-every", "0", "--sample", "0", "--threads", "2", "--seed",
                            "9", "--quiet", "--require-fused"});
  CHECK(given.steps == 7);
  CHECK(given.minutes == 0.5);
  CHECK(given.out == "runs/a");
  CHECK(given.device == "cuda:1");
  CHECK(given.data == "x.txt");
  CHECK(given.tokenizer == "t.json");
  CHECK(given.validate_every == 0);
  CHECK(given.sample == 0);
  CHECK(given.threads == 2);
  CHECK(given.seed == 9);
  CHECK(given.quiet);
  CHECK(given.require_fused);
}

TEST_CASE("the help names every option with its default") {
  Options options;
  CLI::App app;
  options.add_to(app);
  auto const help = app.help();
  for (char const* name : {"--data", "--tokenizer", "--out", "--device", "--steps", "--minutes", "--validate-every",
                           "--sample", "--threads", "--seed", "--quiet", "--require-fused"}) {
    CAPTURE(name);
    CHECK(help.find(name) != std::string::npos);
  }
  CHECK(help.find("=1000") != std::string::npos);
}

TEST_CASE("unknown options and impossible values are refused") {
  CHECK_THROWS_AS(parse({"--stps", "3"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--steps", "0"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--steps", "many"}), CLI::ParseError);
  CHECK_THROWS_AS(parse({"--minutes", "-1"}), CLI::ParseError);
}
