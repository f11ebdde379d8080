// SPDX-License-Identifier: Apache-2.0
// The recipe Muon: momentum of a matrix, orthogonalised.
#pragma once

#include "lierne/optim/sgd.hpp"

namespace lierne {

/// In which format the iteration of `Orthogonalise` runs.
enum class NewtonSchulz { bf16, exact };

/// How an orthogonalised matrix is scaled to its shape.
enum class MuonScale {
  original,    ///< √max(1, rows / columns)
  match_adam   ///< 0.2·√max(rows, columns): the root mean square of an Adam step (Moonlight)
};

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

/// The direction of a matrix with all singular values brought near 1, by five steps of a Newton-Schulz iteration.
/// Math: X = u / max(‖u‖_F, 10⁻⁷), transposed if rows > columns; five times A = XXᵀ, X <- 3.4445·X + (-4.775·A + 2.0315·A²)X.
/// Shapes: [rows, columns]; a parameter of other rank is refused. Source: Jordan et al. 2024; torch.optim.Muon.
template <NewtonSchulz format = NewtonSchulz::bf16, MuonScale scale = MuonScale::original>
struct Orthogonalise {
  using pipe_role = StageRole;
  static constexpr bool changes_direction = true;
  static constexpr bool whole_tensor = true;

  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    at.direction = newton_schulz(at.direction, format == NewtonSchulz::bf16, scale == MuonScale::match_adam);
  }
  std::string name() const {
    return std::string("orthogonalise") + (format == NewtonSchulz::exact ? " exact" : "") +
           (scale == MuonScale::match_adam ? " to adam's size" : "");
  }
};

/// The settings of `muon`.
template <class Number = double>
struct MuonSettings {
  Number rate = 1e-3;
  Number momentum = 0.95;
};

/// Math: u = r · NewtonSchulz(momentum), r by `scale`. For matrices; give the other parameters another rule by groups.
/// Source: torch.optim.Muon. Example: `muon({.rate = 0.02}) | decay(0.1, times_rate)`.
template <NewtonSchulz format = NewtonSchulz::bf16, MuonScale scale = MuonScale::original>
constexpr auto muon(MuonSettings<> settings = {}) {
  return recipe("muon", settings.rate,
                AveragedMomentum<Lookahead::nesterov>{settings.momentum} | Orthogonalise<format, scale>{});
}

}  // namespace lierne
