// SPDX-License-Identifier: Apache-2.0
// Opens weights wherever they lie: a safetensors file, a folder with one, a checkpoint, or a run's latest one.
#pragma once

#include <filesystem>

#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include "lierne/checkpoint/load.hpp"
#include "lierne/core/error.hpp"
#endif

namespace lierne {

/// Opens the weights at `path`: a safetensors file; a checkpoint (`run/checkpoints/step-000000120`), or a run directory, whose
/// latest one it is, both verified as `Checkpoint::open` does; or another folder with a `model.safetensors`.
/// Errors: `FileError` naming the path, what was expected and what was found: nothing of these, weights in several files, and those
/// of `Checkpoint` and `SafeTensors`.
/// Example: `auto report = load_weights(open_weights("runs/a"), targets);`
SafeTensors open_weights(std::filesystem::path const& path);

#if LIERNE_BODIES
LIERNE_INLINE SafeTensors open_weights(std::filesystem::path const& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  check<FileError>(fs::exists(path, ignored), path.string(), ": expected a safetensors file, a checkpoint or a run directory, found nothing");
  if (!fs::is_directory(path)) return SafeTensors::open(path.string());
  if (has_checkpoint(path)) return Checkpoint::open(path).weights();
  // `runs/a/checkpoints/step-000000120/` has an empty name at its end.
  auto const folder = fs::absolute(path / "").lexically_normal().parent_path(), out = folder.parent_path().parent_path();
  if (folder.parent_path().filename() == "checkpoints") {
    for (auto const& listed : list_checkpoints(out)) {
      if (listed.name == folder.filename()) return Checkpoint::open(out, std::to_string(listed.step)).weights();
    }
  }
  check<FileError>(!fs::exists(path / "model.safetensors.index.json", ignored), path.string(),
                   ": expected weights in one file, found several under model.safetensors.index.json");
  check<FileError>(fs::exists(path / "model.safetensors", ignored), path.string(),
                   ": expected a folder with model.safetensors, a checkpoint or a run directory, found another folder");
  return SafeTensors::open((path / "model.safetensors").string());
}
#endif

}  // namespace lierne
