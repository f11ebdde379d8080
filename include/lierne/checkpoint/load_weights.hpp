// SPDX-License-Identifier: Apache-2.0
// Puts the weights of a file into those of a model, by name.
#pragma once

#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/core/load_report.hpp"

#if LIERNE_BODIES
#include <set>
#endif

namespace lierne {

/// Copies every tensor of the file that a target is named after into it, in place, and says which names were kept, which of
/// the targets' are missing in the file (they stay as they are) and which of the file's are extra. Nothing is copied before
/// every name's shape has been compared.
/// Shapes: whole tensors. Errors: `ShapeError` naming the tensor, the shape or dtype expected and found; a target given twice.
/// Numerics: bit for bit where the dtypes are equal; floating values are otherwise rounded once to the target's dtype. Other
/// dtypes must be equal.
/// Example: `auto report = load_weights(saved.weights(), {{p.name, p.owned}}); check(report.complete(), report.str());`
LoadReport load_weights(SafeTensors const& file, NamedTensors const& targets);

#if LIERNE_BODIES
LIERNE_INLINE LoadReport load_weights(SafeTensors const& file, NamedTensors const& targets) {
  LoadReport report;
  std::set<std::string> wanted;
  for (auto const& [name, target] : targets) {
    check<ShapeError>(wanted.insert(name).second, file.path(), ": tensor '", name, "': expected one target, found two");
    if (!file.contains(name)) {
      report.missing.push_back(name);
      continue;
    }
    auto const& shape = file.shape(name);
    check<ShapeError>(target.sizes() == shape, file.path(), ": tensor '", name, "': expected shape ", to_string(target.sizes()), ", found ",
                      to_string(shape));
    auto const from = file.dtype(name), to = target.scalar_type();
    check<ShapeError>(from == to || (at::isFloatingType(from) && at::isFloatingType(to)), file.path(), ": tensor '", name,
                      "': expected dtype ", at::toString(to), ", found ", at::toString(from));
    report.kept.push_back(name);
  }
  for (auto const& name : file.names()) {
    if (!wanted.contains(name)) report.extra.push_back(name);
  }
  for (auto const& [name, target] : targets) {
    if (file.contains(name)) target.detach().copy_(file.tensor(name));
  }
  return report;
}
#endif

}  // namespace lierne
