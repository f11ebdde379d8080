// SPDX-License-Identifier: Apache-2.0
// The records of precisions: the dtype of master weights and of products.
#pragma once

#include <string>

#include "lierne/core/roles.hpp"
#include "lierne/spec/module_names.hpp"

namespace lierne {

/// A floating-point format that a record can name without LibTorch.
enum class Float { bfloat16, float32, float64 };

constexpr int bytes_of(Float format) { return format == Float::bfloat16 ? 2 : format == Float::float32 ? 4 : 8; }
constexpr char const* name(Float format) {
  constexpr char const* names[] = {"bfloat16", "float32", "float64"};
  return names[static_cast<int>(format)];
}

/// Master weights in one format, products in another. Norms, softmax, rotary angles, the loss and gradients between
/// micro-batches stay in the master format.
template <Float master_, Float compute_>
struct Precision {
  static constexpr Role role = Role::precision;
  static constexpr Float master = master_;
  static constexpr Float compute = compute_;
  /// The compute format, and the master format where it is not the usual one (float32, float64 for float64).
  std::string name() const {
    constexpr Float usual = compute == Float::float64 ? Float::float64 : Float::float32;
    return lierne::name(compute) + (master == usual ? std::string{} : std::string{" on "} + lierne::name(master));
  }
  friend constexpr bool operator==(Precision const&, Precision const&) = default;
};

using Float32 = Precision<Float::float32, Float::float32>;
using Float64 = Precision<Float::float64, Float::float64>;
/// float32 master weights, bfloat16 products.
using BFloat16 = Precision<Float::float32, Float::bfloat16>;

/// `BFloat16`, with the products of linear layers and of routed experts in eight bits: activations and weights in e4m3,
/// gradients in e5m2, each tensor with one scale of its own, found anew each time from its largest magnitude; of experts
/// each one's weights and tokens.
/// Errors (at `init`): a name in `excluded` that is no linear layer's; a layer whose sizes are no multiples of 16.
/// Source: Micikevicius et al. 2022, arXiv:2209.05433; torchao's tensorwise recipe.
/// Example: `Fp8{.excluded = names("output", "layers.0", "feed_forward.w2")}`.
struct Fp8 {
  static constexpr Role role = Role::precision;
  static constexpr Float master = Float::float32;
  static constexpr Float compute = Float::bfloat16;

  ModuleNames excluded = names("output");  ///< layers that stay in bfloat16; `experts`: the routed ones

  /// Example: `fp8 but output`.
  std::string name() const {
    return excluded.empty() ? std::string("fp8") : "fp8 but " + std::string(excluded.view());
  }
  friend constexpr bool operator==(Fp8 const&, Fp8 const&) = default;
};

}  // namespace lierne
