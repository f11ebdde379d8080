// SPDX-License-Identifier: Apache-2.0
// Units: the groups of parameters that are materialised together, and who does it.
#pragma once

#include <memory>

#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/members.hpp"

namespace lierne {

/// Parameters that forward reads together: the embedding, one block, or the last norm with the output.
struct Unit {
  std::string name;
  std::vector<Parameter*> parameters;
  bool last = false;  ///< runs last in forward, so first in backward
};

/// Fills the materialised parts of a unit before it runs and lets go of them after.
class Materialiser {
 public:
  virtual ~Materialiser() = default;
  /// After it every parameter of the unit can be read.
  virtual void materialise(Unit const& unit) = 0;
  /// Called with the unit's output, which it returns, perhaps hooked.
  virtual Tensor release(Unit const& unit, Tensor output) = 0;
};

/// Of a process that owns its parameters whole: a cast to the dtype that forward reads.
class CastMaterialiser : public Materialiser {
 public:
  explicit CastMaterialiser(Dtype compute) : compute_(compute) {}

  void materialise(Unit const& unit) override;
  Tensor release(Unit const& unit, Tensor output) override;

 private:
  Dtype compute_;
};

#if LIERNE_BODIES
LIERNE_INLINE void CastMaterialiser::materialise(Unit const& unit) {
  for (auto* p : unit.parameters) {
    p->materialised = p->read_as == ReadAs::master ? p->owned : p->owned.to(compute_);
  }
}

LIERNE_INLINE Tensor CastMaterialiser::release(Unit const& unit, Tensor output) {
  for (auto* p : unit.parameters) p->materialised = Tensor();
  return output;
}
#endif

}  // namespace lierne
