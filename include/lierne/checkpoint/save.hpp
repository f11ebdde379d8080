// SPDX-License-Identifier: Apache-2.0
// Saves checkpoints of a run: each is there whole or not at all, whenever the process or the machine stops.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lierne/checkpoint/facts.hpp"
#include "lierne/checkpoint/files.hpp"
#include "lierne/checkpoint/folder_lock.hpp"
#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "lierne/checkpoint/list.hpp"
#include "lierne/core/glob.hpp"
#include "lierne/version.hpp"
#endif

namespace lierne {

/// What checkpoints hold, and how many of them are kept.
struct CheckpointSettings {
  Dtype dtype = at::ScalarType::Undefined;  ///< round floating weights to float64, float32, float16 or bfloat16; undefined: bit for bit
  bool model_only = false;                  ///< weights and facts alone: for others to use, not to go on from
  std::vector<std::string> exclude{};       ///< names, or patterns with `*`, of tensors in any file that are left out
  std::int64_t keep = 0;                    ///< so many stay, the newest; 0: all
};

/// What a run hands over to be saved. Tensors are read in place, on any device.
struct CheckpointContent {
  std::int64_t step = 0;                      ///< finished optimizer steps
  NamedTensors weights{};                     ///< parameters and persistent buffers by their fully qualified names
  std::map<std::string, Tensor> optimizer{};  ///< as `Optimizer::state()` gives it
  NamedTensors run{};                         ///< other tensors that the run goes on from: states of generators
  Facts facts{};                              ///< all else: names of spec and rule, seeds, position in the data
};

/// What a save did.
struct SaveReport {
  std::string path{};                   ///< of the checkpoint
  std::uint64_t bytes = 0;              ///< of its tensor files
  double seconds = 0;                   ///< until it was on the disk, with the removal of older ones
  std::vector<std::string> excluded{};  ///< tensors left out
  std::vector<std::string> unmatched{}; ///< patterns of `exclude` that left nothing out
  std::vector<std::string> removed{};   ///< names of older checkpoints that `keep` let go
};

/// Writes checkpoints into `<out>/checkpoints`, for this object alone as long as it lives.
///
/// A save writes `step-<n>.partial-<pid>`, puts every file and then the directory on the disk, renames it, and names it in
/// `latest`. Until the rename the older checkpoints are all there is, and after it the new one is whole. What a dead
/// process or a failed save has left unfinished is removed at the next start or save.
/// Errors: `FileError` naming the path, what was tried and why it failed, with the unfinished checkpoint removed and the older
/// ones as they were; the same for a second writer, naming the process that is the first. `ArgumentError` for settings that
/// cannot be used; `ShapeError` for a tensor that the format has no dtype for.
/// Numerics: without `dtype`, what is saved loads bit for bit.
/// Example: `CheckpointWriter writer("run", {.keep = 3}); writer.save({.step = 120, .weights = w, .optimizer = o.state()});`
class CheckpointWriter {
 public:
  explicit CheckpointWriter(std::filesystem::path const& out, CheckpointSettings settings = {}, Files files = Files{});

  SaveReport save(CheckpointContent const& content);

 private:
  void tidy() const;
  void write_files(std::string const& partial, CheckpointContent const& content, SaveReport& report) const;
  void commit(std::string const& partial, std::string const& name) const;
  void write_latest(std::string const& name) const;
  void remove_older(SaveReport& report) const;
  std::string marked(std::string const& name, std::string_view mark) const;

  std::filesystem::path out_;
  std::string folder_;
  CheckpointSettings settings_;
  Files files_;
  std::unique_ptr<FolderLock> lock_;
  std::int64_t sequence_ = 0;
};

#if LIERNE_BODIES
namespace detail {

/// The name of a dtype that weights may be rounded to; null for another.
inline char const* weights_dtype_name(Dtype dtype) {
  return dtype == at::kDouble ? "float64" : dtype == at::kFloat ? "float32" : dtype == at::kHalf ? "float16"
         : dtype == at::kBFloat16 ? "bfloat16" : nullptr;
}

/// The dtype of such a name; undefined for another text.
inline Dtype weights_dtype(std::string_view name) {
  for (auto const dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    if (name == weights_dtype_name(dtype)) return dtype;
  }
  return at::ScalarType::Undefined;
}

/// Removes what can be removed; for the way out of a save that has failed already.
inline void discard(std::string const& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace detail

LIERNE_INLINE CheckpointWriter::CheckpointWriter(std::filesystem::path const& out, CheckpointSettings settings, Files files)
    : out_(out), folder_(detail::checkpoint_folder(out)), settings_(std::move(settings)), files_(std::move(files)) {
  check(settings_.dtype == at::ScalarType::Undefined || detail::weights_dtype_name(settings_.dtype) != nullptr,
        "checkpoint: dtype: expected float64, float32, float16 or bfloat16, found ", at::toString(settings_.dtype));
  check(settings_.keep >= 0, "checkpoint: keep: expected a number from 0 (all), found ", settings_.keep);
  files_.make_directories(folder_);
  lock_ = std::make_unique<FolderLock>(folder_);
  tidy();
  for (auto const& listed : list_checkpoints(out_)) sequence_ = std::max(sequence_, listed.sequence);
}

LIERNE_INLINE std::string CheckpointWriter::marked(std::string const& name, std::string_view mark) const {
  return message(folder_, "/", name, mark, ::getpid());
}

// The lock is ours, so that whoever left these behind writes no more: a dead process, or a save of this one that failed.
LIERNE_INLINE void CheckpointWriter::tidy() const {
  auto const names = detail::names_in(folder_);
  bool changed = false;
  for (auto const& name : names) {
    auto const path = folder_ + "/" + name;
    if (detail::left_over(name, detail::partial_mark)) {
      files_.remove(path);
      changed = true;
    } else if (detail::left_over(name, detail::replaced_mark)) {
      auto const own = name.substr(0, name.find(detail::replaced_mark));
      if (std::binary_search(names.begin(), names.end(), own)) {
        files_.remove(path);
      } else {
        files_.rename(path, folder_ + "/" + own);
      }
      changed = true;
    }
  }
  if (changed) files_.sync_directory(folder_);
}

LIERNE_INLINE SaveReport CheckpointWriter::save(CheckpointContent const& content) {
  using Clock = std::chrono::steady_clock;
  auto const started = Clock::now();
  check(content.step >= 0, "checkpoint: step: expected a number from 0, found ", content.step);
  auto const name = detail::step_name(content.step);
  auto const partial = marked(name, detail::partial_mark);
  SaveReport report{.path = folder_ + "/" + name};
  ++sequence_;
  try {
    tidy();
    write_files(partial, content, report);
    commit(partial, name);
  } catch (...) {
    detail::discard(partial);
    throw;
  }
  try {
    write_latest(name);
    files_.remove(marked(name, detail::replaced_mark));
    remove_older(report);
  } catch (FileError const& error) {
    throw FileError(message(error.what(), " (the checkpoint ", name, " itself is whole)"));
  }
  report.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return report;
}

LIERNE_INLINE void CheckpointWriter::write_files(std::string const& partial, CheckpointContent const& content,
                                                 SaveReport& report) const {
  Manifest manifest{.lierne = version.text, .step = content.step, .sequence = sequence_, .excluded = settings_.exclude,
                    .facts = content.facts};
  std::vector<bool> matched(settings_.exclude.size());
  auto const chosen = [&](auto const& tensors) {
    NamedTensors result;
    for (auto const& [name, tensor] : tensors) {
      bool left_out = false;
      for (std::size_t i = 0; i < matched.size(); ++i) {
        if (matches_glob(settings_.exclude[i], name)) matched[i] = left_out = true;
      }
      if (left_out) {
        report.excluded.push_back(name);
      } else {
        result.emplace_back(name, tensor);
      }
    }
    return result;
  };
  auto const write = [&](char const* holds, NamedTensors const& tensors, Dtype floating) {
    OutputFile out(files_, message(partial, "/", holds, ".safetensors"));
    detail::stream_safetensors([&](std::string_view bytes) { out.write(bytes); }, tensors,
                               {.path = out.path(), .metadata = {{"format", "pt"}}, .floating = floating});
    out.finish();
    report.bytes += out.bytes();
    manifest.files.push_back({.name = message(holds, ".safetensors"), .holds = holds, .bytes = out.bytes(), .xxh128 = out.digits()});
  };

  files_.make_directory(partial);
  auto const weights = chosen(content.weights);
  for (auto const& [name, tensor] : weights) {
    if (detail::rounds(tensor, settings_.dtype)) manifest.weights_dtype = detail::weights_dtype_name(settings_.dtype);
  }
  write("model", weights, settings_.dtype);
  if (!settings_.model_only) {
    write("optimizer", chosen(content.optimizer), at::ScalarType::Undefined);
    if (!content.run.empty()) write("run", chosen(content.run), at::ScalarType::Undefined);
  }
  for (std::size_t i = 0; i < matched.size(); ++i) {
    if (!matched[i]) report.unmatched.push_back(settings_.exclude[i]);
  }
  OutputFile out(files_, partial + "/manifest.json");
  out.write(to_json(manifest));
  out.finish();
  files_.sync_directory(partial);
}

// Two renames where there is a checkpoint of this step already: between them it has the name that `list_checkpoints` and `tidy`
// know to be its own.
LIERNE_INLINE void CheckpointWriter::commit(std::string const& partial, std::string const& name) const {
  auto const final = folder_ + "/" + name, replaced = marked(name, detail::replaced_mark);
  bool const replaces = std::filesystem::exists(std::filesystem::symlink_status(final));
  if (replaces) files_.rename(final, replaced);
  try {
    files_.rename(partial, final);
  } catch (...) {
    std::error_code ignored;
    if (replaces) std::filesystem::rename(replaced, final, ignored);
    throw;
  }
  files_.sync_directory(folder_);
}

LIERNE_INLINE void CheckpointWriter::write_latest(std::string const& name) const {
  auto const partial = marked("latest", detail::partial_mark);
  try {
    OutputFile out(files_, partial);
    out.write(name + "\n");
    out.finish();
    files_.rename(partial, folder_ + "/latest");
  } catch (...) {
    detail::discard(partial);
    throw;
  }
  files_.sync_directory(folder_);
}

// First all names go, then, when that is on the disk, what is behind them: a checkpoint that has its name is whole.
LIERNE_INLINE void CheckpointWriter::remove_older(SaveReport& report) const {
  if (settings_.keep == 0) return;
  std::int64_t kept = 0;
  std::vector<std::string> doomed;
  for (auto const& listed : list_checkpoints(out_)) {
    if (kept < settings_.keep) {
      kept += listed.complete();
      continue;
    }
    doomed.push_back(marked(listed.name, detail::partial_mark));
    files_.rename(listed.path, doomed.back());
    report.removed.push_back(listed.name);
  }
  if (doomed.empty()) return;
  files_.sync_directory(folder_);
  for (auto const& path : doomed) files_.remove(path);
}
#endif

}  // namespace lierne
