// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/write_file.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <sstream>
#include <thread>

using namespace lierne;

namespace {

std::string read(std::filesystem::path const& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a file is replaced as a whole, or an error names it") {
  auto const path = std::filesystem::temp_directory_path() / "lierne_write_file_test";
  write_file(path, "first, longer");
  write_file(path, "second");
  CHECK(read(path) == "second");
  CHECK_FALSE(std::filesystem::exists(path.string() + ".part"));
  std::filesystem::remove(path);
  CHECK_THROWS_WITH_AS(write_file("/proc/no/such.html", "x"), doctest::Contains("/proc/no/such.html"), FileError);
}

TEST_CASE("who reads while it is written sees one version or another, whole") {
  auto const path = std::filesystem::temp_directory_path() / "lierne_write_file_readers";
  std::string const a(1 << 16, 'a'), b(1 << 17, 'b');
  write_file(path, a);
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0, reads = 0;
  std::thread reader([&] {
    while (!done) {
      auto const text = read(path);
      torn += text != a && text != b;
      ++reads;
    }
  });
  for (int i = 0; i < 200 || reads < 20; ++i) write_file(path, i % 2 == 0 ? b : a);
  done = true;
  reader.join();
  CHECK(torn == 0);
  std::filesystem::remove(path);
}

TEST_CASE("a folder is made with those it lies in, is left where it is, and is named where it cannot be") {
  auto const root = std::filesystem::temp_directory_path() / "lierne_make_folder";
  std::filesystem::remove_all(root);
  lierne::make_folder(root / "a" / "b", "test's folder");
  lierne::make_folder(root / "a" / "b", "test's folder");
  CHECK(std::filesystem::is_directory(root / "a" / "b"));
  std::ofstream(root / "file") << "x";
  CHECK_THROWS_WITH_AS(lierne::make_folder(root / "file" / "c", "test's folder"), doctest::Contains("file/c: the test's folder cannot be made"),
                       lierne::FileError);
}
