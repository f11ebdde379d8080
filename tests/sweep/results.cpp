// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/results.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "lierne/core/error.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  explicit Folder(char const* name) : path(fs::temp_directory_path() / (std::string("lierne-results-") + name)) {
    fs::remove_all(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path file() const { return path / "results.jsonl"; }
  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(file()).rdbuf();
    return all.str();
  }
};

Row row(std::string key, double loss) { return {.key = std::move(key), .loss = loss}; }

}  // namespace

TEST_CASE("rows are there when the file is opened again") {
  Folder const folder("again");
  {
    ResultsFile file(folder.path / ".");
    file.append(row("a", 1));
    file.append(row("b", 2));
    CHECK(file.find("a")->loss == 1);
  }
  CHECK(folder.text() == to_json(row("a", 1)) + "\n" + to_json(row("b", 2)) + "\n");
  ResultsFile const file(folder.path);
  CHECK(file.size() == 2);
  REQUIRE(file.find("b") != nullptr);
  CHECK(file.find("b")->loss == 2);
  CHECK(file.find("c") == nullptr);
}

TEST_CASE("a line cut at any byte is dropped, and what follows is whole") {
  Folder const folder("cut");
  auto const first = to_json(row("a", 1)) + "\n", second = to_json(row("b", 2)) + "\n";
  for (std::size_t cut = 0; cut < second.size(); cut += 11) {
    CAPTURE(cut);
    fs::create_directories(folder.path);
    std::ofstream(folder.file(), std::ios::trunc) << first << second.substr(0, cut);
    {
      ResultsFile file(folder.path);
      CHECK(file.size() == 1);
      CHECK(file.find("b") == nullptr);
      file.append(row("b", 3));
    }
    CHECK(folder.text() == first + to_json(row("b", 3)) + "\n");
  }
}

TEST_CASE("the last row of a key counts") {
  Folder const folder("twice");
  {
    ResultsFile file(folder.path);
    file.append(row("a", 1));
    file.append(row("a", 5));
    CHECK(file.find("a")->loss == 5);
  }
  CHECK(ResultsFile(folder.path).find("a")->loss == 5);
}

TEST_CASE("a folder is one process's alone, and a file of anything else is refused") {
  Folder const folder("errors");
  {
    ResultsFile const file(folder.path);
    CHECK_THROWS_WITH_AS(ResultsFile(folder.path), doctest::Contains("another process is sweeping"), FileError);
  }
  std::ofstream(folder.file()) << to_json(row("a", 1)) << "\nnonsense\n";
  CHECK_THROWS_WITH_AS(ResultsFile(folder.path), doctest::Contains("results.jsonl:2: expected a row"), FileError);
  CHECK_THROWS_WITH_AS(ResultsFile("/proc/no/such"), doctest::Contains("/proc/no/such"), FileError);
}
