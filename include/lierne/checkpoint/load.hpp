// SPDX-License-Identifier: Apache-2.0
// Opens a checkpoint of a run, and vouches for every byte of it before a tensor is handed out. Executes nothing.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lierne/checkpoint/list.hpp"
#include "lierne/checkpoint/manifest.hpp"
#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <charconv>

#include "lierne/checkpoint/input_file.hpp"
#endif

namespace lierne {

/// A checkpoint that has been verified: manifest, files, their sizes and checksums.
/// Errors: `FileError` naming the file, what was expected and what was found: no checkpoint, none of that step or before, a
/// file that is missing, truncated or changed, an unknown version of the format. `ArgumentError` for another `which`.
/// Example: `auto saved = Checkpoint::open("run"); load_weights(saved.weights(), targets); o.load_state(saved.optimizer());`
class Checkpoint {
 public:
  /// Opens one of `<out>/checkpoints`: `latest`, `previous` (the newest complete one before it), or a step such as `120`.
  /// Where the file `latest` is missing or names none that is there, the newest complete one stands for it, and a notice
  /// says so.
  static Checkpoint open(std::filesystem::path const& out, std::string const& which = "latest");

  std::int64_t step() const { return manifest_.step; }
  Facts const& facts() const { return manifest_.facts; }
  Manifest const& manifest() const { return manifest_; }
  std::string const& path() const { return path_; }
  /// What the user of the run should be told about the choice.
  std::vector<std::string> const& notices() const { return notices_; }

  SafeTensors const& weights() const { return file("model"); }
  /// Whether the run can be gone on from: false for a checkpoint of weights alone.
  bool has_optimizer() const { return files_.contains("optimizer"); }
  /// Copies, for `Optimizer::load_state`. Errors: `FileError` where there are none.
  std::map<std::string, Tensor> optimizer() const { return tensors("optimizer"); }
  /// Copies of the run's other tensors; none where there were none.
  std::map<std::string, Tensor> run() const { return files_.contains("run") ? tensors("run") : std::map<std::string, Tensor>{}; }

 private:
  SafeTensors const& file(std::string const& holds) const;
  std::map<std::string, Tensor> tensors(std::string const& holds) const;
  static Checkpoint verified(ListedCheckpoint const& listed);

  std::string path_;
  Manifest manifest_;
  std::map<std::string, SafeTensors> files_;
  std::vector<std::string> notices_;
};

/// Whether there is any checkpoint to go on from, whole or not: a run that finds damage should say so and not start afresh.
inline bool has_checkpoint(std::filesystem::path const& out) { return !list_checkpoints(out).empty(); }

#if LIERNE_BODIES
namespace detail {

/// Why none of these can be used, in words.
inline std::string faults_of(std::vector<ListedCheckpoint> const& all) {
  std::string text;
  for (auto const& c : all) text += message("; ", c.name, ": ", c.complete() ? "complete" : c.fault);
  return text;
}

/// The checkpoint that `latest` means, and a notice where that file does not say it.
inline ListedCheckpoint const& current_checkpoint(std::string const& folder, std::vector<ListedCheckpoint> const& all,
                                                  std::optional<std::string> const& latest, std::vector<std::string>& notices) {
  for (auto const& c : all) {
    if (latest && c.name == *latest) return c;
  }
  for (auto const& c : all) {
    if (!c.complete()) continue;
    notices.push_back(message(folder, "/latest: ", latest ? "names " + *latest + ", which is not there" : "is missing or names no checkpoint",
                              "; the newest complete one is taken: ", c.name));
    return c;
  }
  throw FileError(message(folder, ": expected a complete checkpoint, found none among ", all.size(), faults_of(all)));
}

inline ListedCheckpoint const& previous_checkpoint(std::string const& folder, std::vector<ListedCheckpoint> const& all,
                                                   ListedCheckpoint const& current) {
  for (auto const& c : all) {
    bool const older = !current.manifest || c.sequence < current.sequence;
    if (&c != &current && older && c.complete()) return c;
  }
  throw FileError(message(folder, ": expected a complete checkpoint before ", current.name, ", found none among ", all.size(),
                          faults_of(all)));
}

inline ListedCheckpoint const& checkpoint_of_step(std::string const& folder, std::vector<ListedCheckpoint> const& all,
                                                  std::string const& which) {
  std::int64_t step = -1;
  auto const end = which.data() + which.size();
  auto const parsed = std::from_chars(which.data(), end, step);
  check(parsed.ec == std::errc() && parsed.ptr == end && step >= 0,
        "checkpoint: expected latest, previous or the number of a step, found '", which, "'");
  std::string there;
  for (auto const& c : all) {
    if (c.step == step) return c;
    there += (there.empty() ? "" : ", ") + std::to_string(c.step);
  }
  throw FileError(message(folder, ": expected a checkpoint of step ", step, ", found those of steps ", there));
}

}  // namespace detail

LIERNE_INLINE Checkpoint Checkpoint::open(std::filesystem::path const& out, std::string const& which) {
  auto const folder = detail::checkpoint_folder(out);
  auto const all = list_checkpoints(out);
  check<FileError>(!all.empty(), folder, ": expected a checkpoint, found none");
  std::vector<std::string> notices;
  ListedCheckpoint const* chosen = nullptr;
  if (which == "latest" || which == "previous") {
    chosen = &detail::current_checkpoint(folder, all, latest_checkpoint(out), notices);
    if (which == "previous") chosen = &detail::previous_checkpoint(folder, all, *chosen);
  } else {
    chosen = &detail::checkpoint_of_step(folder, all, which);
  }
  try {
    auto result = verified(*chosen);
    result.notices_ = std::move(notices);
    return result;
  } catch (FileError const& error) {
    throw FileError(message(error.what(), which == "latest" ? " (previous opens the checkpoint before it)" : ""));
  }
}

LIERNE_INLINE Checkpoint Checkpoint::verified(ListedCheckpoint const& listed) {
  check<FileError>(listed.complete(), listed.fault);
  Checkpoint result;
  result.path_ = listed.path;
  result.manifest_ = *listed.manifest;
  auto const manifest = listed.path + "/manifest.json";
  check<FileError>(listed.manifest->ranks == 1, manifest, ": expected the checkpoint of 1 process, found one of ", listed.manifest->ranks);
  for (auto const& f : listed.manifest->files) {
    auto const path = listed.path + "/" + f.name;
    auto const found = digest_of(path);
    check<FileError>(found.bytes == f.bytes, path, ": expected ", f.bytes, " bytes, found ", found.bytes);
    check<FileError>(found.digits == f.xxh128, path, ": expected the checksum ", f.xxh128, " of its ", f.bytes, " bytes, found ",
                     found.digits, " (changed since it was written)");
    check<FileError>(f.rank == 0 && f.part == 0 && (f.holds == "model" || f.holds == "optimizer" || f.holds == "run"), manifest, ": ",
                     f.name, ": expected part 0 of the model, optimizer or run of rank 0, found part ", f.part, " of the ", f.holds,
                     " of rank ", f.rank);
    check<FileError>(result.files_.emplace(f.holds, SafeTensors::open(path)).second, manifest, ": expected one file of the ", f.holds,
                     ", found two");
  }
  check<FileError>(result.files_.contains("model"), manifest, ": expected a file of the model, found none");
  return result;
}

LIERNE_INLINE SafeTensors const& Checkpoint::file(std::string const& holds) const {
  auto const found = files_.find(holds);
  check<FileError>(found != files_.end(), path_, ": expected the ", holds, "'s tensors, found none (saved as model_only)");
  return found->second;
}

LIERNE_INLINE std::map<std::string, Tensor> Checkpoint::tensors(std::string const& holds) const {
  auto const& from = file(holds);
  std::map<std::string, Tensor> result;
  for (auto const& name : from.names()) result.emplace(name, from.tensor(name));
  return result;
}
#endif

}  // namespace lierne
