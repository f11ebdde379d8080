// SPDX-License-Identifier: Apache-2.0
// Applies a mesh to a model.
#pragma once

#include "lierne/parallel/fsdp.hpp"
#include "lierne/parallel/gradients.hpp"

namespace lierne {

/// Makes the model gather its parameters over the mesh's shard axis. Call it before `init` with the same mesh; a mesh
/// that does not shard changes nothing. The tensor axis is part of the model's type already.
/// Example: `auto mesh = join(plan, Launch::from_environment()); parallelise(model, mesh); model.init({}, mesh);`
template <class M>
void parallelise(M& model, Mesh const& mesh) {
  if (mesh.plan().shard > 1) model.materialise_by(std::make_unique<Fsdp>(mesh, M::compute));
}

}  // namespace lierne
