// SPDX-License-Identifier: Apache-2.0
// The sums that finish a step's gradients after its last backward pass.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/mesh/mesh.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/members.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Finishes the gradients of a step: those of parameters that the tensor axis does not cut are summed over it (each
/// rank saw its part of the sequence), and all are summed over the replicate axis. The shard axis is summed already,
/// during the backward pass. Call it once a step, after the last micro-batch, on all ranks.
void sum_gradients(std::vector<Parameter*> const& parameters, Mesh const& mesh);

/// Whether this process counts a parameter in sums over all processes: exactly one holder of each element does.
inline bool counted(Parameter const& parameter, Mesh const& mesh) {
  bool const cut = parameter.tensor_dim != Parameter::whole;
  return mesh[Axis::replicate].rank() == 0 && (cut || mesh[Axis::tensor].rank() == 0);
}

#if LIERNE_BODIES
namespace detail {

/// Sums the parameters' gradients over the group through one flat buffer.
inline void sum_flat(std::vector<Parameter*> const& parameters, Group const& group) {
  TensorList gradients;
  for (auto const* p : parameters) {
    if (p->owned.grad().defined()) gradients.push_back(p->owned.grad());
  }
  if (group.alone() || gradients.empty()) return;
  std::vector<Tensor> flat;
  for (auto const& gradient : gradients) flat.push_back(gradient.flatten());
  auto const all = at::cat(flat);
  group.sum(all);
  std::int64_t at = 0;
  for (auto& gradient : gradients) {
    gradient.copy_(all.narrow(0, at, gradient.numel()).view_as(gradient));
    at += gradient.numel();
  }
}

}  // namespace detail

LIERNE_INLINE void sum_gradients(std::vector<Parameter*> const& parameters, Mesh const& mesh) {
  NoGrad guard;
  std::vector<Parameter*> whole;
  for (auto* p : parameters) {
    if (p->tensor_dim == Parameter::whole) whole.push_back(p);
  }
  detail::sum_flat(whole, mesh[Axis::tensor]);
  detail::sum_flat(parameters, mesh[Axis::replicate]);
}
#endif

}  // namespace lierne
