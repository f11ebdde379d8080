// SPDX-License-Identifier: Apache-2.0
// The recipe NorMuon: Muon whose rows, the neurons, are normalised by a second moment of their own.
#pragma once

#include "lierne/optim/muon.hpp"

namespace lierne {

/// Division of each row by the root of the second moment of its elements, at the norm that the matrix had.
/// Math: s <- s + (1 - β)(mean_j u² - s), one number a row, uncorrected; û = u / (√s + ε); u <- û·‖u‖_F / (‖û‖_F + ε).
/// Shapes: [rows, columns], s [rows, 1]. Source: Li et al., arXiv 2510.05491; the scale of its code, not of its listing
/// (that is `MuonScale::fixed_rms`).
template <class Number = double>
struct NormaliseRows {
  using pipe_role = StageRole;
  using fields = Fields<"second_momentum_buffer">;
  static constexpr bool changes_direction = true;
  static constexpr bool whole_tensor = true;
  static constexpr Dimensions dimensions{2, 2};

  Number beta = 0.95;
  Number epsilon = 1e-10;

  FieldShape field_shape(int, FieldShape const& weight) const { return {weight[0], 1}; }
  constexpr auto coefficients(auto const& call) const {
    return std::array<Number, 2>{1 - beta, epsilon * call.multipliers.epsilon};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& moment) {
    V const squares = at.direction * at.direction;
    moment = moment + numbers[0] * (row_mean(squares) - moment);
    V const normalised = at.direction / (sqrt(moment) + numbers[1]);
    at.direction = normalised * (sqrt(sum(squares)) / (sqrt(sum(normalised * normalised)) + numbers[1]));
  }
  std::string name() const { return "rows by second moment " + number(beta) + " + " + number(epsilon); }
};

/// Example: `normalise_rows({.beta = 0.99})`.
constexpr NormaliseRows<> normalise_rows(NormaliseRows<> settings = {}) { return settings; }

/// The settings of `normuon`.
template <class Number = double>
struct NorMuonSettings {
  Number rate = 0.02;
  Number momentum = 0.95;
  Number beta2 = 0.95;
  Number epsilon = 1e-10;
};

template <MatrixIteration Iteration = NewtonSchulz, IterationFormat format = IterationFormat::bf16,
          MuonScale scale = MuonScale::original, class Number>
constexpr auto normuon(NorMuonSettings<Number> settings) {
  return recipe("normuon", settings.rate,
                AveragedMomentum<Lookahead::nesterov, Number>{settings.momentum} | Orthogonalise<Iteration, format>{} |
                    NormaliseRows<Number>{settings.beta2, settings.epsilon} | ScaleToShape<scale>{});
}
/// Math: u = r · NormaliseRows(Orthogonalise(momentum)), r by `scale`. For matrices, as `muon`.
/// Source: Li et al., arXiv 2510.05491. Example: `normuon({.rate = 0.02}) | decay(0.01, times_rate)`.
template <MatrixIteration Iteration = NewtonSchulz, IterationFormat format = IterationFormat::bf16,
          MuonScale scale = MuonScale::original>
constexpr auto normuon(NorMuonSettings<> settings = {}) {
  return normuon<Iteration, format, scale, double>(settings);
}

}  // namespace lierne
