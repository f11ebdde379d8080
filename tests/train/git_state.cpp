// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/git_state.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

using namespace lierne;
namespace fs = std::filesystem;

namespace {

/// A folder whose name a shell would take apart.
struct Folder {
  fs::path path = fs::temp_directory_path() / "lierne git; touch x $(touch y) 'z'";
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  void write(char const* name, char const* text) const { std::ofstream(path / name) << text; }
};

/// Runs git in the folder by its own means: the working directory of a child that a shell starts.
bool git(Folder const& folder, std::string const& arguments) {
  auto const before = fs::current_path();
  fs::current_path(folder.path);
  bool const good = std::system(("git -c user.name=a -c user.email=a@example.org " + arguments + " >/dev/null 2>&1").c_str()) == 0;
  fs::current_path(before);
  return good;
}

}  // namespace

TEST_CASE("commit and changes of a repository are found, and nothing outside one") {
  Folder const folder;
  CHECK_FALSE(git_state(folder.path).has_value());
  REQUIRE(git(folder, "init -q"));
  CHECK_FALSE(git_state(folder.path).has_value());  // no commit yet
  folder.write("a", "1");
  REQUIRE(git(folder, "add a"));
  REQUIRE(git(folder, "commit -q -m first"));
  auto const first = git_state(folder.path);
  REQUIRE(first.has_value());
  CHECK(first->commit.size() == 40);
  CHECK(first->commit.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK_FALSE(first->dirty);
  folder.write("untracked", "1");
  CHECK_FALSE(git_state(folder.path)->dirty);
  folder.write("a", "2");
  CHECK(git_state(folder.path)->dirty);
  CHECK(git_state(folder.path)->commit == first->commit);
  REQUIRE(git(folder, "commit -q -a -m second"));
  CHECK(git_state(folder.path)->commit != first->commit);
  CHECK_FALSE(git_state(folder.path)->dirty);
  fs::create_directories(folder.path / "deeper");
  CHECK(git_state(folder.path / "deeper")->commit == git_state(folder.path)->commit);
  CHECK_FALSE(fs::exists(folder.path / "x"));
  CHECK_FALSE(fs::exists(folder.path / "y"));
}

TEST_CASE("a folder that is none, and a machine without git, have no state") {
  CHECK_FALSE(git_state("/no/such/folder").has_value());
  std::string const path = std::getenv("PATH");
  ::setenv("PATH", "/no/such/folder", 1);
  CHECK_FALSE(git_state(fs::current_path()).has_value());
  ::setenv("PATH", path.c_str(), 1);
}
