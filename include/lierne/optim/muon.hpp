// SPDX-License-Identifier: Apache-2.0
// The recipe Muon: momentum of a matrix, orthogonalised.
#pragma once

#include "lierne/optim/orthogonalise.hpp"
#include "lierne/optim/sgd.hpp"

namespace lierne {

/// Averaged momentum and the look ahead from it. Math: b <- b + (1 - μ)(u - b); u <- u + μ(b - u) with `nesterov`, else b.
/// Source: torch.optim.Muon.
template <Lookahead lookahead = Lookahead::nesterov, class Number = double>
struct AveragedMomentum {
  using pipe_role = StageRole;
  using fields = Fields<"momentum_buffer">;
  static constexpr bool changes_direction = true;

  Number momentum = 0.95;

  constexpr auto coefficients(auto const&) const { return std::array<Number, 2>{1 - momentum, momentum}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average) {
    average = average + numbers[0] * (at.direction - average);
    if constexpr (lookahead == Lookahead::nesterov) {
      at.direction = at.direction + numbers[1] * (average - at.direction);
    } else {
      at.direction = average;
    }
  }
  std::string name() const {
    return std::string(lookahead == Lookahead::nesterov ? "nesterov average " : "average ") + number(momentum);
  }
};

/// The settings of `muon`.
template <class Number = double>
struct MuonSettings {
  Number rate = 1e-3;
  Number momentum = 0.95;
};

template <MatrixIteration Iteration = NewtonSchulz, IterationFormat format = IterationFormat::bf16,
          MuonScale scale = MuonScale::original, class Number>
constexpr auto muon(MuonSettings<Number> settings) {
  return recipe("muon", settings.rate,
                AveragedMomentum<Lookahead::nesterov, Number>{settings.momentum} | Orthogonalise<Iteration, format>{} |
                    ScaleToShape<scale>{});
}
/// Math: u = r · Orthogonalise(momentum), r by `scale`. For matrices; give the other parameters another rule by groups.
/// Source: torch.optim.Muon. Example: `muon({.rate = 0.02}) | decay(0.1, times_rate)`, `muon<PolarExpress<>>()`.
template <MatrixIteration Iteration = NewtonSchulz, IterationFormat format = IterationFormat::bf16,
          MuonScale scale = MuonScale::original>
constexpr auto muon(MuonSettings<> settings = {}) {
  return muon<Iteration, format, scale, double>(settings);
}

}  // namespace lierne
