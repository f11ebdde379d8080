// SPDX-License-Identifier: Apache-2.0
// The records of parametrisations: how initial scales and multipliers follow a model's size.
#pragma once

#include <string>

#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// The standard parametrisation with Llama's initial scales: N(0, 1) embedding, 0.02 (truncated at ±2) for input
/// products, 0.02/√(2·depth) for products that write to the residual stream, width^-½ (truncated at ±3σ) for the output.
/// `by_depth`: depth counts the block itself, l + 1; otherwise all layers. Source: torchtitan models/llama3.
struct Standard {
  static constexpr Role role = Role::scaling;

  bool by_depth = true;
  double deviation = 0.02;
  double embedding_deviation = 1.0;

  /// Example: `standard`, `standard 0.01 embedding 0.5 by layers`: what differs from the defaults.
  std::string name() const {
    return "standard" + (deviation != 0.02 ? " " + number(deviation) : std::string{}) +
           (embedding_deviation != 1 ? " embedding " + number(embedding_deviation) : std::string{}) +
           (by_depth ? "" : " by layers");
  }
  friend constexpr bool operator==(Standard const&, Standard const&) = default;
};

}  // namespace lierne
