// SPDX-License-Identifier: Apache-2.0
// The records of position encodings: rotary or none.
#pragma once

#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// Long-context scaling of rotary frequencies by wavelength (Llama 3.1). `factor` 0 switches it off.
/// Math: wavelength λ > original/low → f/factor; λ < original/high → f; between, a linear blend in original/λ.
struct RopeScaling {
  double factor = 0;
  double low = 1;
  double high = 4;
  int original = 8192;  ///< context length in tokens that the frequencies were trained for
  friend constexpr bool operator==(RopeScaling const&, RopeScaling const&) = default;
};

/// The scaling that Llama 3.1 was released with.
inline constexpr RopeScaling llama31_scaling{.factor = 8, .low = 1, .high = 4, .original = 8192};

/// That of Llama 4 Scout: a step where the two bounds meet, without a blend. Maverick has none.
inline constexpr RopeScaling llama4_scaling{.factor = 16, .low = 1, .high = 1, .original = 8192};

/// Rotary position embedding (Su et al. 2021, arXiv 2104.09864) on interleaved pairs (x[2i], x[2i+1]) of q and k.
/// Math: pair i at position t turns by t · base^(-2i/d). Numerics: float32 (float64 under `Float64`).
/// Source: torchtitan models/llama3.
struct Rope {
  static constexpr Role role = Role::position;

  double base = 10000;
  RopeScaling scaling{};

  std::string name() const;
  friend constexpr bool operator==(Rope const&, Rope const&) = default;
};

/// No position encoding (NoPE, Kazemnejad et al. 2023, arXiv 2305.19466): order is seen through the causal mask alone.
struct NoPosition {
  static constexpr Role role = Role::position;
  std::string name() const { return "nope"; }
  friend constexpr bool operator==(NoPosition const&, NoPosition const&) = default;
};

#if LIERNE_BODIES
LIERNE_INLINE std::string Rope::name() const {
  auto const& [factor, low, high, original] = scaling;
  return "rope " + number(base) +
         (factor == 0 ? std::string{}
                      : " scaled " + number(factor) + " (" + number(low) + ", " + number(high) + ", " +
                            std::to_string(original) + ")");
}
#endif

}  // namespace lierne
