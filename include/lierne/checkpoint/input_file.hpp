// SPDX-License-Identifier: Apache-2.0
// A file read from its beginning to its end: its content, or its size and checksum. Sees no LibTorch header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lierne/checkpoint/checksum.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"

#if LIERNE_BODIES
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>
#endif

namespace lierne {

/// A file open for reading.
/// Errors: `FileError` naming the file, what was tried and why it failed.
class InputFile {
 public:
  /// `flags`: of open(2), beside those for reading.
  explicit InputFile(std::string path, int flags = 0);
  InputFile(InputFile const&) = delete;
  ~InputFile();

  /// Fills the buffer as far as the file goes, and says how far that was.
  std::size_t read(std::span<char> buffer);
  int descriptor() const { return file_; }

 private:
  std::string path_;
  int file_ = -1;
  std::uint64_t at_ = 0;
};

/// The content of a small file. Errors: as above, and for more than `most_bytes`.
std::string read_file(std::string const& path, std::uint64_t most_bytes);

/// Size and checksum of a file.
struct FileDigest {
  std::uint64_t bytes = 0;
  std::string digits{};  ///< of `Checksum`
};

/// Reads a file for its size and checksum. By read(2) and not through a map of the file, in which an error of the disk would
/// end the process.
FileDigest digest_of(std::string const& path);

#if LIERNE_BODIES
namespace detail {

inline std::string system_error(int error = errno) { return std::strerror(error); }

}  // namespace detail

LIERNE_INLINE InputFile::InputFile(std::string path, int flags) : path_(std::move(path)) {
  file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | flags);
  check<FileError>(file_ >= 0, path_, ": cannot be opened: ", detail::system_error());
}

LIERNE_INLINE InputFile::~InputFile() { ::close(file_); }

LIERNE_INLINE std::size_t InputFile::read(std::span<char> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    auto const got = ::read(file_, buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    check<FileError>(got >= 0, path_, ": cannot be read at byte ", at_ + filled, ": ", detail::system_error());
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  at_ += filled;
  return filled;
}

LIERNE_INLINE std::string read_file(std::string const& path, std::uint64_t most_bytes) {
  InputFile file(path);
  std::vector<char> part(std::size_t{1} << 16);
  std::string text;
  for (std::size_t got; (got = file.read(part)) != 0;) {
    text.append(part.data(), got);
    check<FileError>(text.size() <= most_bytes, path, ": expected at most ", most_bytes, " bytes, found more");
  }
  return text;
}

LIERNE_INLINE FileDigest digest_of(std::string const& path) {
  InputFile file(path);
  std::vector<char> part(std::size_t{1} << 20);
  Checksum checksum;
  FileDigest result;
  for (std::size_t got; (got = file.read(part)) != 0;) {
    checksum.add({part.data(), got});
    result.bytes += got;
  }
  result.digits = checksum.digits();
  return result;
}
#endif

}  // namespace lierne
