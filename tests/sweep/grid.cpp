// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/grid.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "lierne/sweep/results.hpp"
#include "train/small.hpp"

extern char** environ;

using namespace lierne;
namespace fs = std::filesystem;

namespace {

SweepOptions options(fs::path const& out = {}) {
  return SweepOptions({.out = out.string(), .steps = 4, .validate_every = 0, .seed = 5, .quiet = true}, "adamw");
}

struct Folder {
  fs::path path;
  explicit Folder(char const* name) : path(fs::temp_directory_path() / (std::string("lierne-sweep-") + name)) {
    fs::remove_all(path);
  }
  ~Folder() { fs::remove_all(path); }
};

std::string read(fs::path const& path) {
  std::ostringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

/// 2 structures, 3 rules (one of which diverges), 2 seeds: 12 runs. `before` is called before each.
template <class Before>
SweepResult small_sweep(SweepOptions const& options, Before const& before) {
  auto data = small::data();
  return sweep(options, axis<Rope{}, NoPosition{}>("position"),
               axis("rule", adamw({.rate = 1e-2}), lion({.rate = 1e-3}), plain_sgd(1e30)), seeds(2),
               [&](auto position, auto rule) {
                 before();
                 return trial(Model<with(small::spec, position())>{}, scheduled(clip_norm(1e9) | rule, warmup(2)), data);
               });
}

}  // namespace

TEST_CASE("every combination is a row whose numbers are those of its run alone") {
  auto const result = small_sweep(options(), [] {});
  REQUIRE(result.rows.size() == 12);
  CHECK(result.ran == 12);
  std::size_t i = 0;
  for (char const* position : {"rope 10000", "nope"}) {
    for (char const* rule : {"adamw", "lion", "sgd"}) {
      for (std::uint64_t seed : {5, 6}) {
        auto const& row = result.rows[i++];
        CHECK((row.settings == std::vector<Setting>{{"position", position}, {"rule", rule}}));
        CHECK(row.seed == seed);
        CHECK((row.diverged_at > 0) == (std::string(rule) == "sgd"));
      }
    }
  }
  auto data = small::data();
  auto alone = static_cast<Options>(options());
  alone.seed = 6;
  alone.sample = 0;
  Trainer trainer{Model<with(small::spec, NoPosition{})>{}, scheduled(clip_norm(1e9) | lion({.rate = 1e-3}), warmup(2)), alone};
  CHECK(result.rows[9].bits_per_byte == trainer.fit(data).bits_per_byte);
}

TEST_CASE("the summary compares variants, and keeps those that diverged, last") {
  auto const result = small_sweep(options(), [] {});
  auto const& variants = result.summary.variants;
  REQUIRE(variants.size() == 6);
  CHECK(variants[4].chosen().diverged == 2);
  CHECK(variants[5].chosen().diverged == 2);
  CHECK(std::ranges::count_if(variants, &Variant::baseline) == 2);
  CHECK(variants[0].chosen().bits_per_byte.count == 2);
}

TEST_CASE("each rule is reported at the best of its rates") {
  auto data = small::data();
  auto const result = sweep(options(), axis("rule", adamw(), at_rates({1e-5, 1e-3}, lion())), [&](auto rule) {
    return trial(Model<small::spec>{}, rule, data);
  });
  REQUIRE(result.rows.size() == 3);
  for (auto const& variant : result.summary.variants) {
    if (variant.label != "lion") continue;
    REQUIRE(variant.candidates.size() == 2);
    CHECK(variant.chosen().rate == 1e-3);
    CHECK(variant.chosen().bits_per_byte.mean < variant.candidates[0].bits_per_byte.mean);
  }
  auto const all = sweep(options(), axis("rule", adamw()), rates({1e-3, 1e-2}), [&](auto rule) {
    return trial(Model<small::spec>{}, rule, data);
  });
  CHECK(all.rows[0].bits_per_byte == result.rows[0].bits_per_byte);
  CHECK(all.rows[1].rate == 1e-2);
  CHECK(all.summary.variants.size() == 1);
  auto const factors = sweep(options(), axis("rule", adamw()), rate_factors({10}), [&](auto rule) {
    return trial(Model<small::spec>{}, rule, data);
  });
  CHECK(factors.rows[0].bits_per_byte == all.rows[1].bits_per_byte);
}

TEST_CASE("finished rows are not run again, and the reports of two sweeps are equal") {
  Folder const folder("resume"), other("fresh");
  auto const first = small_sweep(options(folder.path), [] {});
  CHECK(first.ran == 12);
  auto const page = read(folder.path / "report.html");
  auto const second = small_sweep(options(folder.path), [] {});
  CHECK(second.ran == 0);
  CHECK(read(folder.path / "report.html") == page);
  small_sweep(options(other.path), [] {});
  CHECK(read(other.path / "report.html") == page);
  auto longer = options(folder.path);
  longer.steps = 5;
  CHECK(small_sweep(longer, [] {}).ran == 12);
  auto shifted = options(folder.path);
  shifted.seed = 6;  // seeds 6 and 7: one of them is there
  CHECK(small_sweep(shifted, [] {}).ran == 6);
}

TEST_CASE("rank: a sweep is killed" * doctest::skip()) {
  fs::path const out = std::getenv("LIERNE_SWEEP_OUT");
  int started = 0;
  small_sweep(options(out), [&] {
    if (++started != 6) return;
    std::ofstream(out / "results.jsonl", std::ios::app) << "{\"key\": \"cut short";  // as a kill in a write leaves it
    ::raise(SIGKILL);
  });
}

TEST_CASE("a sweep that was killed goes on where it was") {
  Folder const folder("killed"), whole("whole");
  fs::create_directories(folder.path);
  ::setenv("LIERNE_SWEEP_OUT", folder.path.c_str(), 1);
  char program[] = "/proc/self/exe", name[] = "--test-case=rank: a sweep is killed", no_skip[] = "--no-skip", silent[] = "--out=/dev/null";
  char* arguments[] = {program, name, no_skip, silent, nullptr};
  pid_t child = 0;
  REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
  CHECK(ResultsFile(folder.path).size() == 5);
  CHECK(small_sweep(options(folder.path), [] {}).ran == 7);
  small_sweep(options(whole.path), [] {});
  CHECK(read(folder.path / "report.html") == read(whole.path / "report.html"));
}

TEST_CASE("a part of a sweep is the same rows, and the whole takes them up") {
  Folder const folder("part");
  auto part = options(folder.path);
  part.only = {"rule=lion", "rule=adamw", "position=nope"};
  auto const some = small_sweep(part, [] {});
  REQUIRE(some.rows.size() == 4);
  auto const whole = small_sweep(options(folder.path), [] {});
  CHECK(whole.ran == 8);
  auto const alone = small_sweep(options(), [] {});
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(whole.rows[i].diverged_at == alone.rows[i].diverged_at);
    if (alone.rows[i].diverged_at == 0) CHECK(whole.rows[i].bits_per_byte == alone.rows[i].bits_per_byte);
  }
  for (std::size_t i = 0; i < 4; ++i) CHECK(some.rows[i].bits_per_byte == alone.rows[6 + i].bits_per_byte);
  part.only = {"rule=lino"};
  CHECK_THROWS_WITH_AS(small_sweep(part, [] { FAIL("begun"); }),
                       "sweep: only: expected AXIS=VALUE of an axis of this sweep, found 'rule=lino' (did you mean 'rule=lion'?)",
                       ArgumentError);
}

TEST_CASE("options of a sweep are those of a run and the baseline") {
  SweepOptions given;
  CLI::App app;
  given.add_to(app);
  app.parse(std::vector<std::string>{"7", "--steps", "lion", "--baseline"});  // CLI11 takes the last first
  CHECK(given.baseline == "lion");
  CHECK(given.steps == 7);
  Folder const folder("options");
  fs::create_directories(folder.path);
  std::ofstream(folder.path / "sweep.toml") << given.to_toml();
  SweepOptions read_back;
  CLI::App other;
  read_back.add_to(other);
  other.parse(std::vector<std::string>{(folder.path / "sweep.toml").string(), "--config"});
  CHECK(read_back.baseline == "lion");
  CHECK(read_back.steps == 7);
}

TEST_CASE("what cannot be compared is refused") {
  auto limited = options();
  limited.minutes = 1;
  CHECK_THROWS_WITH_AS(small_sweep(limited, [] {}), doctest::Contains("no limit of minutes"), ArgumentError);
  auto going_on = options();
  going_on.resume = true;
  CHECK_THROWS_WITH_AS(small_sweep(going_on, [] {}), doctest::Contains("a sweep keeps its finished rows"), ArgumentError);
  auto wrong = options();
  wrong.baseline = "adam";
  auto const not_one = [] { FAIL("a run began"); };
  CHECK_THROWS_WITH_AS(small_sweep(wrong, not_one), doctest::Contains("found 'adam'"), ArgumentError);
  auto data = small::data();
  auto const body = [&](double, double) { return trial(Model<small::spec>{}, adamw(), data); };
  CHECK_THROWS_WITH_AS(sweep(options(), numbers("a", {1}), numbers("a", {2}), body),
                       doctest::Contains("two axes are named 'a'"), ArgumentError);
  auto const launch = {"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=29500"};
  for (std::string variable : launch) ::setenv(variable.substr(0, variable.find('=')).c_str(), &variable[variable.find('=') + 1], 1);
  CHECK_THROWS_WITH_AS(small_sweep(options(), [] {}), doctest::Contains("expected one process, found 2"), LaunchError);
  for (std::string variable : launch) ::unsetenv(variable.substr(0, variable.find('=')).c_str());
}
