// SPDX-License-Identifier: Apache-2.0
// What a save asks of the file system: every call checked, and each seen by a hook, so that tests can let any of them
// fail or be the last. Sees no LibTorch header.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "lierne/checkpoint/checksum.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"

#if LIERNE_BODIES
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "lierne/checkpoint/input_file.hpp"
#endif

namespace lierne {

/// What a save does to the file system.
enum class FileAction { make_directory, create, write, sync, close, rename, remove };

/// One action on one path, before it and after it.
struct FileEvent {
  FileAction action;
  std::string const& path;  ///< of a rename: the new name
  bool done;                ///< false: about to happen
};

/// Sees every action twice. A value other than 0 before an action is the error (`ENOSPC`) that it fails with in place of
/// being done; after an action the value means nothing.
using FileHook = std::function<int(FileEvent const&)>;

/// The calls that change a directory tree. Copies are alike.
/// Errors: `FileError` naming the path, what was tried and why it failed.
class Files {
 public:
  /// Files are written in pieces of `chunk_bytes`, each into the checksum while it is in the cache.
  explicit Files(FileHook hook = {}, std::size_t chunk_bytes = std::size_t{1} << 20)
      : hook_(std::move(hook)), chunk_bytes_(chunk_bytes) {}

  /// Makes a directory and those above it, as far as they are missing; what is made is on the disk on return.
  void make_directories(std::string const& path) const;
  /// Makes a directory that is not there.
  void make_directory(std::string const& path) const;
  /// Puts the names in a directory on the disk.
  void sync_directory(std::string const& path) const;
  void rename(std::string const& from, std::string const& to) const;
  /// Removes a file, or a directory with all that is in it; nothing where neither is there.
  void remove(std::string const& path) const;

  std::size_t chunk_bytes() const { return chunk_bytes_; }

  /// Calls `call`, which fails by a negative value and errno, between the two visits of the hook.
  int act(FileAction action, std::string const& path, char const* words, std::function<int()> const& call) const;

 private:
  FileHook hook_;
  std::size_t chunk_bytes_;
};

/// A new file being written from its beginning to its end.
/// Errors: `FileError` as above; a file of that name that is there already.
/// Example: `OutputFile out(files, path); out.write(text); out.finish(); out.digits();`
class OutputFile {
 public:
  OutputFile(Files const& files, std::string path);
  OutputFile(OutputFile const&) = delete;
  ~OutputFile();

  void write(std::string_view bytes);
  /// Puts the content on the disk and closes the file.
  void finish();

  std::uint64_t bytes() const { return bytes_; }
  std::string digits() const { return checksum_.digits(); }  ///< of all that was written
  std::string const& path() const { return path_; }

 private:
  Files const& files_;
  std::string path_;
  int file_ = -1;
  std::uint64_t bytes_ = 0;
  Checksum checksum_;
};

#if LIERNE_BODIES
namespace detail {

inline std::string parent_of(std::string const& path) {
  auto const parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace detail

LIERNE_INLINE int Files::act(FileAction action, std::string const& path, char const* words,
                             std::function<int()> const& call) const {
  int result = -1;
  int const planned = hook_ ? hook_({action, path, false}) : 0;
  if (planned != 0) {
    errno = planned;
  } else {
    do {
      result = call();
    } while (result < 0 && errno == EINTR && action != FileAction::close);
  }
  if (result < 0) throw FileError(message(path, ": ", words, ": ", detail::system_error()));
  if (hook_) hook_({action, path, true});
  return result;
}

LIERNE_INLINE void Files::make_directory(std::string const& path) const {
  act(FileAction::make_directory, path, "the directory cannot be made", [&] { return ::mkdir(path.c_str(), 0777); });
}

LIERNE_INLINE void Files::make_directories(std::string const& path) const {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    check<FileError>(S_ISDIR(status.st_mode), path, ": expected a directory, found a file");
    return;
  }
  check<FileError>(errno == ENOENT || errno == ENOTDIR, path, ": the directory cannot be looked at: ",
                   detail::system_error());
  auto const parent = detail::parent_of(path);
  if (parent != path) make_directories(parent);
  make_directory(path);
  sync_directory(parent);
}

LIERNE_INLINE void Files::sync_directory(std::string const& path) const {
  InputFile const directory(path, O_DIRECTORY);
  // A file system that has no such thing for directories says EINVAL; there is nothing more to do on it.
  act(FileAction::sync, path, "the directory cannot be put on the disk (fsync)", [&] {
    int const result = ::fsync(directory.descriptor());
    return result < 0 && errno == EINVAL ? 0 : result;
  });
}

LIERNE_INLINE void Files::rename(std::string const& from, std::string const& to) const {
  auto const words = message("cannot get the name from ", from, " (rename)");
  act(FileAction::rename, to, words.c_str(), [&] { return ::rename(from.c_str(), to.c_str()); });
}

LIERNE_INLINE void Files::remove(std::string const& path) const {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    check<FileError>(errno == ENOENT, path, ": cannot be looked at: ", detail::system_error());
    return;
  }
  bool const directory = S_ISDIR(status.st_mode);
  if (directory) {
    std::vector<std::string> inside;
    try {
      for (auto const& entry : std::filesystem::directory_iterator(path)) inside.push_back(entry.path().string());
    } catch (std::filesystem::filesystem_error const& error) {
      throw FileError(message(path, ": the directory cannot be listed: ", error.code().message()));
    }
    std::sort(inside.begin(), inside.end());
    for (auto const& entry : inside) remove(entry);
  }
  act(FileAction::remove, path, "cannot be removed",
      [&] { return directory ? ::rmdir(path.c_str()) : ::unlink(path.c_str()); });
}

LIERNE_INLINE OutputFile::OutputFile(Files const& files, std::string path) : files_(files), path_(std::move(path)) {
  file_ = files_.act(FileAction::create, path_, "cannot be made",
                     [&] { return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
}

LIERNE_INLINE OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
}

LIERNE_INLINE void OutputFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    auto rest = bytes.substr(0, files_.chunk_bytes());
    bytes.remove_prefix(rest.size());
    checksum_.add(rest);
    while (!rest.empty()) {
      auto const written = files_.act(FileAction::write, path_, "cannot be written", [&] {
        return static_cast<int>(::write(file_, rest.data(), std::min(rest.size(), std::size_t{1} << 30)));
      });
      check<FileError>(written > 0, path_, ": cannot be written: the system takes no byte of ", rest.size());
      rest.remove_prefix(static_cast<std::size_t>(written));
      bytes_ += static_cast<std::uint64_t>(written);
    }
  }
}

LIERNE_INLINE void OutputFile::finish() {
  files_.act(FileAction::sync, path_, "cannot be put on the disk (fsync)", [&] { return ::fsync(file_); });
  // Closed once, whatever the outcome: after an error the descriptor is gone as well.
  files_.act(FileAction::close, path_, "cannot be closed", [&] { return ::close(std::exchange(file_, -1)); });
}
#endif

}  // namespace lierne
