// SPDX-License-Identifier: Apache-2.0
// The file that a sweep's rows are kept in: read at the start, grown by a line for each run that ends.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/row.hpp"

#if LIERNE_BODIES
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lierne/core/error.hpp"
#include "lierne/core/write_file.hpp"
#endif

namespace lierne {

/// `results.jsonl` of a folder, held for this process alone while the object lives.
///
/// A row is appended by one write and reaches the disk before the next run starts. A line that a stop of the process has
/// cut short is dropped: its run is done again.
/// Errors: `FileError` naming the file: it cannot be made, read or written, a whole line is no row, or another process
/// holds it.
class ResultsFile {
 public:
  /// Opens the file, and makes it and its folder where they are missing.
  explicit ResultsFile(std::filesystem::path const& folder);
  ResultsFile(ResultsFile const&) = delete;
  ResultsFile& operator=(ResultsFile const&) = delete;
  ~ResultsFile();

  /// The finished row of a key, or null. The last one counts where a key is there twice.
  Row const* find(std::string const& key) const;
  std::size_t size() const { return rows_.size(); }
  void append(Row const& row);

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::map<std::string, Row> rows_;
};

#if LIERNE_BODIES
LIERNE_INLINE ResultsFile::ResultsFile(std::filesystem::path const& folder) : path_(folder / "results.jsonl") {
  make_folder(folder, "folder of the sweep");
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  check<FileError>(file_ >= 0, path_.string(), ": cannot be opened: ", std::strerror(errno));
  try {
    check<FileError>(::flock(file_, LOCK_EX | LOCK_NB) == 0, path_.string(),
                     ": another process is sweeping into this folder (give this one a folder of its own: --out)");
    std::string text;
    char part[1 << 16];
    for (::ssize_t got = 0; (got = ::read(file_, part, sizeof part)) != 0;) {
      check<FileError>(got > 0, path_.string(), ": cannot be read: ", std::strerror(errno));
      text.append(part, static_cast<std::size_t>(got));
    }
    auto const whole = text.rfind('\n') + 1;  // npos + 1 is 0
    if (whole < text.size()) {
      check<FileError>(::ftruncate(file_, static_cast<::off_t>(whole)) == 0, path_.string(),
                       ": its cut last line cannot be dropped: ", std::strerror(errno));
    }
    std::size_t line = 0;
    for (std::size_t begin = 0; begin < whole;) {
      auto const end = text.find('\n', begin);
      auto row = row_from_json(std::string_view(text).substr(begin, end - begin), message(path_.string(), ":", ++line));
      auto key = row.key;
      rows_.insert_or_assign(std::move(key), std::move(row));
      begin = end + 1;
    }
  } catch (...) {
    ::close(file_);
    throw;
  }
}

LIERNE_INLINE ResultsFile::~ResultsFile() { ::close(file_); }

LIERNE_INLINE Row const* ResultsFile::find(std::string const& key) const {
  auto const found = rows_.find(key);
  return found == rows_.end() ? nullptr : &found->second;
}

LIERNE_INLINE void ResultsFile::append(Row const& row) {
  auto const line = to_json(row) + "\n";
  auto const written = ::write(file_, line.data(), line.size());
  check<FileError>(written == static_cast<::ssize_t>(line.size()) && ::fdatasync(file_) == 0, path_.string(),
                   ": could not be written (disk full?)");
  rows_.insert_or_assign(row.key, row);
}
#endif

}  // namespace lierne
