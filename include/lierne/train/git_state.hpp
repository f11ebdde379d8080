// SPDX-License-Identifier: Apache-2.0
// Which commit a run was started from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>
#endif

namespace lierne {

/// The commit of a folder's repository, and whether tracked files differ from it.
struct GitState {
  std::string commit{};  ///< hexadecimal
  bool dirty = false;
};

/// What git says of a folder; nothing outside a repository, before its first commit, or without git. Files that git does
/// not track do not count. No shell is involved, so a folder may have any name.
/// Example: `if (auto const git = git_state(".")) note(git->commit);`
std::optional<GitState> git_state(std::filesystem::path const& folder);

#if LIERNE_BODIES
namespace detail {

// The standard output of a program found on PATH; nothing when it cannot be started or fails.
inline std::optional<std::string> output_of(std::vector<std::string> words) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::pid_t child = 0;
  bool const started = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ) == 0;
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string text;
  char part[4096];
  for (::ssize_t got = 0; started && (got = ::read(ends[0], part, sizeof part)) != 0;) {
    if (got > 0) text.append(part, static_cast<std::size_t>(got));
    else if (errno != EINTR) break;
  }
  ::close(ends[0]);
  if (!started) return std::nullopt;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return text;
}

}  // namespace detail

LIERNE_INLINE std::optional<GitState> git_state(std::filesystem::path const& folder) {
  auto const git = [&](std::initializer_list<std::string> words) {
    std::vector<std::string> all{"git", "--no-optional-locks", "-C", folder.empty() ? "." : folder.string()};
    all.insert(all.end(), words);
    return detail::output_of(std::move(all));
  };
  auto commit = git({"rev-parse", "--verify", "HEAD"});
  if (!commit) return std::nullopt;
  commit->erase(std::min(commit->find('\n'), commit->size()));
  auto const changes = git({"status", "--porcelain", "--untracked-files=no"});
  if (!changes) return std::nullopt;
  return GitState{.commit = std::move(*commit), .dirty = !changes->empty()};
}
#endif

}  // namespace lierne
