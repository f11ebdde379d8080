// SPDX-License-Identifier: Apache-2.0
// A trainable tensor: what a module declares, what this rank owns, and what forward reads.
#pragma once

#include <utility>

#include "lierne/core/error.hpp"
#include "lierne/spec/scaling.hpp"
#include "lierne/tensor/kind.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// The distribution of a parameter's first values.
struct Initial {
  enum class Kind { zeros, ones, normal, truncated_normal };
  Kind kind = Kind::zeros;
  double deviation = 0;
  double low = 0;  ///< absolute bounds of the truncated normal
  double high = 0;

  static constexpr Initial zeros() { return {}; }
  static constexpr Initial ones() { return {.kind = Kind::ones}; }
  /// N(0, deviation²).
  static constexpr Initial normal(double deviation) { return {.kind = Kind::normal, .deviation = deviation}; }
  /// N(0, deviation²) restricted to [-bound, bound].
  static constexpr Initial truncated_normal(double deviation, double bound = 2.0) {
    return {.kind = Kind::truncated_normal, .deviation = deviation, .low = -bound, .high = bound};
  }
  /// What a scaling says. Example: `Initial::of(block.scaling.inward(block.width))`.
  static constexpr Initial of(Normal const& values) {
    return values.bound == 0 ? normal(values.deviation) : truncated_normal(values.deviation, values.bound);
  }
};

/// A box inside a tensor's index space: where a rank's part begins and how far it reaches, dimension by dimension.
struct Box {
  Shape offset;
  Shape size;
};

/// In which dtype forward reads a parameter.
enum class ReadAs {
  compute,  ///< the precision's compute dtype: weights of products
  master    ///< the master dtype: weights of norms
};

/// How a linear layer, or a mixture of experts, computes the product with a parameter.
enum class Product {
  none,   ///< it is no such layer's weight
  plain,  ///< in the dtype that forward reads it in
  fp8     ///< its factors rounded to eight bits; see kernel::fp8_linear
};

/// A trainable tensor of a module.
///
/// The module declares the global shape, the first values and the dimension that tensor parallelism cuts; `init` gives
/// it a name and the *owned* part: this rank's box in the master dtype, a leaf whose `grad()` has that dtype as well.
/// Optimizer, clipping and checkpoints see the owned part alone. Forward calls the parameter to read the
/// *materialised* part: whole along the data-parallel axes, this rank's part along the tensor axis, in the dtype of
/// `read_as`. It exists while its unit runs.
/// Example: `Parameter weight{.shape = {n, m}, .initial = Initial::normal(0.02)};`
struct Parameter {
  static constexpr int whole = -1;

  Shape shape{};                        ///< global
  Initial initial{};
  int tensor_dim = whole;               ///< the dimension that the tensor axis cuts; `whole`: replicated
  ReadAs read_as = ReadAs::compute;
  Kind kind = Kind::by_shape;           ///< what groups of the optimizer go by
  Product product = Product::none;      ///< of the weight of a linear layer or of experts
  std::string name{};                   ///< fully qualified, set by init
  Box box{};                            ///< of the owned part in the global shape, set by init
  Tensor owned{};
  Tensor materialised{};

  /// What forward reads. Errors: `ArgumentError` naming the parameter outside a forward pass.
  Tensor const& operator()() const {
    check(materialised.defined(), name.empty() ? "a parameter" : name, ": read outside the forward pass of its unit ",
          owned.defined() ? "" : "(the model has not been initialised: call init first)");
    return materialised;
  }
};

}  // namespace lierne
