// SPDX-License-Identifier: Apache-2.0
// The norm slot.
#pragma once

#include <cstdint>
#include <string>

#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467): x / √(mean(x²) + epsilon) ⊙ weight.
/// Numerics: float32 inside, whatever the compute dtype (float64 under `Float64`).
struct RmsNorm {
  static constexpr Role role = Role::norm;

  double epsilon = 1e-5;

  constexpr std::int64_t parameters(int width) const { return width; }
  std::string name() const { return epsilon == 1e-5 ? "rmsnorm" : "rmsnorm " + number(epsilon); }
  friend constexpr bool operator==(RmsNorm const&, RmsNorm const&) = default;
};

/// Layer normalisation (Ba et al. 2016, arXiv 1607.06450): (x - mean(x)) / √(var(x) + epsilon) ⊙ weight + bias.
/// Numerics: as RmsNorm.
struct LayerNorm {
  static constexpr Role role = Role::norm;

  double epsilon = 1e-5;
  bool bias = true;

  constexpr std::int64_t parameters(int width) const { return (bias ? 2 : 1) * std::int64_t{width}; }
  std::string name() const {
    return std::string("layernorm") + (epsilon == 1e-5 ? std::string{} : " " + number(epsilon)) + (bias ? "" : " without bias");
  }
  friend constexpr bool operator==(LayerNorm const&, LayerNorm const&) = default;
};

}  // namespace lierne
