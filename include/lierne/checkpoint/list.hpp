// SPDX-License-Identifier: Apache-2.0
// Which checkpoints a directory holds, by their names and manifests. Sees no LibTorch header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lierne/checkpoint/manifest.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <tuple>

#include "lierne/checkpoint/input_file.hpp"
#endif

namespace lierne {

/// A checkpoint as the directory shows it, before any byte of its tensors is read.
struct ListedCheckpoint {
  std::string name{};            ///< `step-000000120`
  std::string path{};
  std::int64_t step = 0;
  std::int64_t sequence = 0;     ///< which of two is newer; 0 where the manifest cannot be read
  std::optional<Manifest> manifest{};
  std::string fault{};           ///< why it is not complete; empty: manifest, files and their sizes are there
  bool complete() const { return fault.empty(); }
};

/// The checkpoints in `<out>/checkpoints`, the newest first; none where there is no such directory. Their checksums are not
/// looked at: `Checkpoint::open` does that.
/// Errors: `FileError` for a directory that cannot be listed.
/// Example: `for (auto const& c : list_checkpoints("run")) std::printf("%s %s\n", c.name.c_str(), c.fault.c_str());`
std::vector<ListedCheckpoint> list_checkpoints(std::filesystem::path const& out);

/// What `latest` names; nothing where it is missing or holds no name of a checkpoint.
std::optional<std::string> latest_checkpoint(std::filesystem::path const& out);

namespace detail {

/// `<out>/checkpoints`.
std::string checkpoint_folder(std::filesystem::path const& out);
std::string step_name(std::int64_t step);
/// The step of `step-000000120`; nothing for any other text.
std::optional<std::int64_t> step_of(std::string_view name);
/// The names in a directory, sorted; none where it is not there.
std::vector<std::string> names_in(std::string const& folder);
/// Whether `name` is `<stem><mark><digits>`, the stem being a checkpoint's name or `latest`.
bool left_over(std::string_view name, std::string_view mark);

inline constexpr std::string_view partial_mark = ".partial-";    ///< of what is being written or deleted
inline constexpr std::string_view replaced_mark = ".replaced-";  ///< of a checkpoint while another takes its name

}  // namespace detail

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE std::string checkpoint_folder(std::filesystem::path const& out) { return (out / "checkpoints").string(); }

LIERNE_INLINE std::string step_name(std::int64_t step) {
  char text[40];
  std::snprintf(text, sizeof text, "step-%09lld", static_cast<long long>(step));
  return text;
}

LIERNE_INLINE std::optional<std::int64_t> step_of(std::string_view name) {
  constexpr std::string_view stem = "step-";
  std::int64_t step = -1;
  if (!name.starts_with(stem)) return std::nullopt;
  std::from_chars(name.data() + stem.size(), name.data() + name.size(), step);
  if (step < 0 || step_name(step) != name) return std::nullopt;
  return step;
}

LIERNE_INLINE std::vector<std::string> names_in(std::string const& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  std::filesystem::directory_iterator at(folder, failed);
  if (failed == std::errc::no_such_file_or_directory) return names;
  for (; !failed && at != std::filesystem::directory_iterator(); at.increment(failed)) names.push_back(at->path().filename().string());
  check<FileError>(!failed, folder, ": the directory cannot be listed: ", failed.message());
  std::sort(names.begin(), names.end());
  return names;
}

LIERNE_INLINE bool left_over(std::string_view name, std::string_view mark) {
  auto const at = name.find(mark);
  if (at == std::string_view::npos) return false;
  auto const stem = name.substr(0, at), digits = name.substr(at + mark.size());
  return (stem == "latest" || step_of(stem)) && !digits.empty() &&
         std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A checkpoint in the directory `path`.
inline ListedCheckpoint listed_checkpoint(std::string const& name, std::string const& path) {
  constexpr std::uint64_t most_bytes = std::uint64_t{64} << 20;
  ListedCheckpoint result{.name = name, .path = path, .step = step_of(name).value_or(0)};
  try {
    auto const file = path + "/manifest.json";
    result.manifest = manifest_from_json(file, read_file(file, most_bytes));
    result.sequence = result.manifest->sequence;
    check<FileError>(result.manifest->step == result.step, file, ": expected the manifest of step ", result.step,
                     ", found that of step ", result.manifest->step);
    for (auto const& f : result.manifest->files) {
      std::error_code failed;
      auto const bytes = std::filesystem::file_size(path + "/" + f.name, failed);
      check<FileError>(!failed, path, "/", f.name, ": expected a file of ", f.bytes, " bytes, found none: ", failed.message());
      check<FileError>(bytes == f.bytes, path, "/", f.name, ": expected ", f.bytes, " bytes, found ", bytes,
                       bytes < f.bytes ? " (truncated)" : "");
    }
  } catch (FileError const& error) {
    result.fault = error.what();
  }
  return result;
}

}  // namespace detail

LIERNE_INLINE std::vector<ListedCheckpoint> list_checkpoints(std::filesystem::path const& out) {
  auto const folder = detail::checkpoint_folder(out);
  auto const names = detail::names_in(folder);
  std::vector<ListedCheckpoint> result;
  for (auto const& name : names) {
    std::string own = name;
    if (detail::left_over(name, detail::replaced_mark)) {
      // A save that was about to take this one's name never came to it.
      own = name.substr(0, name.find(detail::replaced_mark));
      if (std::binary_search(names.begin(), names.end(), own)) continue;
    }
    if (detail::step_of(own)) result.push_back(detail::listed_checkpoint(own, folder + "/" + name));
  }
  std::sort(result.begin(), result.end(), [](auto const& a, auto const& b) {
    return std::tuple(a.sequence, a.step) > std::tuple(b.sequence, b.step);
  });
  return result;
}

LIERNE_INLINE std::optional<std::string> latest_checkpoint(std::filesystem::path const& out) {
  std::string text;
  try {
    text = read_file(detail::checkpoint_folder(out) + "/latest", 4096);
  } catch (FileError const&) {
    return std::nullopt;
  }
  if (!text.ends_with('\n')) return std::nullopt;
  text.pop_back();
  return detail::step_of(text) ? std::optional(text) : std::nullopt;
}
#endif

}  // namespace lierne
