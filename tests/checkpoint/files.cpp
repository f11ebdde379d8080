// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/files.hpp"

#include "checkpoint/run.hpp"

using namespace run;

TEST_CASE("what is written is counted, summed and there, in pieces of the size asked for") {
  Folder const folder("files");
  int writes = 0, syncs = 0;
  Files const files([&](FileEvent const& event) {
    writes += event.done && event.action == FileAction::write;
    syncs += event.done && event.action == FileAction::sync;
    return 0;
  }, 100);
  auto const path = (folder.path / "x").string();
  std::string const text(250, 'a');
  OutputFile out(files, path);
  out.write(text);
  out.write("");
  out.write("b");
  CHECK(syncs == 0);
  out.finish();
  CHECK(syncs == 1);
  CHECK(writes == 4);
  CHECK(out.bytes() == 251);
  CHECK(out.digits() == Checksum::of(text + "b"));
  CHECK(read(path) == text + "b");
}

TEST_CASE("directories are made, synced, renamed and removed with what is in them") {
  Folder const folder("files");
  std::vector<std::string> synced;
  Files const files([&](FileEvent const& event) {
    if (event.done && event.action == FileAction::sync) synced.push_back(event.path);
    return 0;
  });
  auto const root = folder.path.string();
  files.make_directories(root + "/a/b");
  CHECK(synced == std::vector{root, root + "/a"});
  files.make_directories(root + "/a/b");  // nothing is missing
  CHECK(synced.size() == 2);
  OutputFile(files, root + "/a/b/x").finish();
  files.rename(root + "/a/b", root + "/c");
  CHECK(fs::exists(root + "/c/x"));
  fs::create_symlink("/", root + "/c/root");  // removed itself, not what it names
  files.remove(root + "/c");
  files.remove(root + "/c");
  CHECK_FALSE(fs::exists(root + "/c"));
}

TEST_CASE("an error names the path, what was tried and why") {
  Folder const folder("files");
  auto const root = folder.path.string();
  Files const files;
  write(root + "/file", "x");
  CHECK_THROWS_WITH_AS(OutputFile(files, root + "/file"), (root + "/file: cannot be made: File exists").c_str(), FileError);
  CHECK_THROWS_WITH_AS(files.make_directories(root + "/file/a"),
                       (root + "/file: expected a directory, found a file").c_str(), FileError);
  CHECK_THROWS_WITH_AS(files.make_directory("/nowhere/x"),
                       "/nowhere/x: the directory cannot be made: No such file or directory", FileError);
  CHECK_THROWS_WITH_AS(files.rename(root + "/none", root + "/x"), doctest::Contains("/none (rename): No such file"), FileError);
  CHECK_THROWS_WITH_AS(files.sync_directory(root + "/file"), doctest::Contains("Not a directory"), FileError);
  Files const full([](FileEvent const& event) { return event.action == FileAction::write ? ENOSPC : 0; });
  OutputFile out(full, root + "/y");
  CHECK_THROWS_WITH_AS(out.write("z"), (root + "/y: cannot be written: No space left on device").c_str(), FileError);
  CHECK(out.bytes() == 0);
}
