// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/input_file.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lierne/core/error.hpp"

using namespace lierne;

TEST_CASE("a file is read whole, over the size of a piece") {
  auto const path = (std::filesystem::temp_directory_path() / message("lierne-input-", ::getpid())).string();
  for (std::size_t const bytes : {0U, 1U, 65536U, 65537U, 3000000U}) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7 >> 5);
    std::ofstream(path, std::ios::binary) << text;
    CHECK(read_file(path, bytes) == text);
    auto const digest = digest_of(path);
    CHECK(digest.bytes == bytes);
    CHECK(digest.digits == Checksum::of(text));
    if (bytes > 0) {
      CHECK_THROWS_WITH_AS(read_file(path, bytes - 1), doctest::Contains("bytes, found more"), FileError);
    }
  }
  std::filesystem::remove(path);
}

TEST_CASE("what cannot be read says why") {
  CHECK_THROWS_WITH_AS(InputFile("/nowhere/x"), "/nowhere/x: cannot be opened: No such file or directory", FileError);
  CHECK_THROWS_WITH_AS(digest_of("/"), "/: cannot be read at byte 0: Is a directory", FileError);
}
