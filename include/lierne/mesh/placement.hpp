// SPDX-License-Identifier: Apache-2.0
// How the ranks of one mesh axis hold a tensor, as types.
#pragma once

#include "lierne/tensor/tensor.hpp"

namespace lierne {

// Each placement says where the value is and, with it, where the gradient is: what one rank's backward pass yields is
// that rank's part (Sharded), a summand (of Replicated), the whole (of Partial and Invariant).

/// Cut along `dim`; so is the gradient.
template <int dim_>
struct Sharded {
  static constexpr int dim = dim_;
};

/// Whole on every rank, used by each for its own part of the work: the gradient is a sum over the ranks.
struct Replicated {};

/// Whole on every rank, used by all for the same work: so is the gradient.
struct Invariant {};

/// Summands whose sum over the ranks is the value: the gradient is whole on every rank.
struct Partial {};

/// A local tensor that carries its placement in its type.
template <class Placement>
struct Placed {
  Tensor local;
};

/// The placement that a layer declares for its input and output: `using output = Partial;`. A layer that declares none
/// works on the whole tensor.
template <class Layer>
struct LayerPlacement {
  using output = Replicated;
};
template <class Layer>
  requires requires { typename Layer::output; }
struct LayerPlacement<Layer> {
  using output = typename Layer::output;
};

}  // namespace lierne
