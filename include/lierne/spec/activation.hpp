// SPDX-License-Identifier: Apache-2.0
// Activations of the feed-forward pieces.
#pragma once

#include <string>

namespace lierne {

/// x σ(x). Source: Elfwing et al. 2017, arXiv 1702.03118.
struct Silu {
  std::string name() const { return "silu"; }
  friend constexpr bool operator==(Silu const&, Silu const&) = default;
};

/// x Φ(x), by the error function; `approximate`: by tanh, as GPT-2 has it. Source: Hendrycks & Gimpel 2016, arXiv 1606.08415.
struct Gelu {
  bool approximate = false;
  std::string name() const { return approximate ? "gelu tanh" : "gelu"; }
  friend constexpr bool operator==(Gelu const&, Gelu const&) = default;
};

/// max(x, 0)². Source: So et al. 2021, arXiv 2109.08668.
struct SquaredRelu {
  std::string name() const { return "relu2"; }
  friend constexpr bool operator==(SquaredRelu const&, SquaredRelu const&) = default;
};

}  // namespace lierne
