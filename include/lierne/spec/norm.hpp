// SPDX-License-Identifier: Apache-2.0
// The records of normalisations.
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

}  // namespace lierne
