// SPDX-License-Identifier: Apache-2.0
// Begins a run with the weights of another: weights alone, without its optimizer, step and place in the data.
#pragma once

#include <string>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/train/trainable.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/checkpoint/load_weights.hpp"
#include "lierne/checkpoint/open_weights.hpp"
#include "lierne/core/glob.hpp"
#include "lierne/train/run_state.hpp"
#endif

namespace lierne {

/// Copies the weights and persistent buffers at `path` (see `open_weights`) into an initialised model. What `exclude` names, by
/// names or patterns with `*`, stays what it is, and is none of the file's extra tensors.
/// Returns the report in a line, for a person: `weights of runs/a/...: kept 12, missing 0, extra 1 (head.weight)`.
/// Errors: `FileError` where a weight of the model is missing, naming it, or nothing can be read; `ShapeError` naming the tensor;
/// `ArgumentError` for a pattern that no weight of the model matches.
/// Numerics: bit for bit, or rounded once to the master dtype where the file has another.
/// Example: `std::puts(warm_start(trainer.model(), "runs/a", {"output.weight"}).c_str());`
std::string warm_start(Trainable& model, std::string const& path, std::vector<std::string> const& exclude = {});

#if LIERNE_BODIES
LIERNE_INLINE std::string warm_start(Trainable& model, std::string const& path, std::vector<std::string> const& exclude) {
  NoGrad const no_grad;
  auto const all = detail::weights_of(model);
  auto const matches = [&](std::string const& name) {
    return std::ranges::any_of(exclude, [&](auto const& pattern) { return matches_glob(pattern, name); });
  };
  for (auto const& pattern : exclude) {
    check(std::ranges::any_of(all, [&](auto const& weight) { return matches_glob(pattern, weight.first); }),
          "weights_exclude: expected a name or pattern of weights of the model, found '", pattern, "', which matches none of ", all.size());
  }
  NamedTensors targets;
  std::ranges::copy_if(all, std::back_inserter(targets), [&](auto const& weight) { return !matches(weight.first); });
  auto const file = open_weights(path);
  // Before anything is copied.
  std::vector<std::string> missing;
  for (auto const& [name, tensor] : targets) {
    if (!file.contains(name)) missing.push_back(name);
  }
  check<FileError>(missing.empty(), file.path(), ": expected the weights of the model '", model.name(), "', found ",
                   detail::listed(missing), " missing (name them in weights_exclude if they shall keep their first values)");
  auto report = load_weights(file, targets);
  std::erase_if(report.extra, matches);
  return message("weights of ", file.path(), ": ", report.str());
}
#endif

}  // namespace lierne
