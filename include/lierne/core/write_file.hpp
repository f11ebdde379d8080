// SPDX-License-Identifier: Apache-2.0
// Files that are there as a whole or not at all, and folders made where they are missing.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "lierne/core/error.hpp"

namespace lierne {

/// Makes a folder, and those it lies in, where they are missing. Errors: `FileError` naming it, and what it is for.
inline void make_folder(std::filesystem::path const& folder, char const* purpose) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  check<FileError>(!failed, folder.string(), ": the ", purpose, " cannot be made: ", failed.message());
}

/// Writes a file beside its place and then moves it there: who reads it meanwhile sees the old file or the new one.
/// Errors: `FileError` naming it.
inline void write_file(std::filesystem::path const& path, std::string const& text) {
  auto const beside = std::filesystem::path(path) += ".part";
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    check<FileError>(out.good(), beside.string(), ": could not be written (no such folder, or disk full?)");
  }
  std::error_code failed;
  std::filesystem::rename(beside, path, failed);
  check<FileError>(!failed, path.string(), ": could not be replaced: ", failed.message());
}

}  // namespace lierne
