// SPDX-License-Identifier: Apache-2.0
// One writer a directory. Sees no LibTorch header.
#pragma once

#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"

#if LIERNE_BODIES
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "lierne/checkpoint/input_file.hpp"
#endif

namespace lierne {

/// A directory held for this object alone, by flock on its file `.lock`, in which the holder's process id stands. The kernel
/// lets go of the lock when the process ends, however it ends; the file stays.
/// Errors: `FileError` naming the directory and the process that holds it.
class FolderLock {
 public:
  explicit FolderLock(std::string const& folder);
  FolderLock(FolderLock const&) = delete;
  ~FolderLock();

 private:
  int file_ = -1;
  int holder_ = 0;
};

#if LIERNE_BODIES
LIERNE_INLINE FolderLock::FolderLock(std::string const& folder) : holder_(::getpid()) {
  auto const path = folder + "/.lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  check<FileError>(file_ >= 0, path, ": cannot be opened: ", detail::system_error());
  try {
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      check<FileError>(errno == EWOULDBLOCK, path, ": the directory cannot be locked: ", detail::system_error());
      auto holder = read_file(path, 64);
      while (!holder.empty() && holder.back() == '\n') holder.pop_back();
      throw FileError(message(folder, ": process ", holder.empty() ? "unknown" : holder,
                              " writes checkpoints here, found a second writer in process ", holder_,
                              " (give each run a directory of its own: --out)"));
    }
    auto const pid = message(holder_, '\n');
    check<FileError>(::ftruncate(file_, 0) == 0 && ::pwrite(file_, pid.data(), pid.size(), 0) == ::ssize_t(pid.size()), path,
                     ": cannot be written: ", detail::system_error());
  } catch (...) {
    ::close(file_);
    throw;
  }
}

LIERNE_INLINE FolderLock::~FolderLock() {
  // A child of a fork has the file open as well: its copy must neither hold the lock on nor let go of it.
  if (::getpid() == holder_) ::flock(file_, LOCK_UN);
  ::close(file_);
}
#endif

}  // namespace lierne
