// SPDX-License-Identifier: Apache-2.0
// The recipe SOAP: Adam in the eigenbasis of Shampoo's preconditioner.
#pragma once

#include <cmath>

#include "lierne/optim/field_shape.hpp"

namespace lierne {

/// Adam in a basis that turns slowly: the eigenvectors of the averages of GGᵀ and GᵀG.
/// Math: t counts calls after the first. G' = Q_LᵀGQ_R; m <- m + (1 - β₁)(u - m); v <- v + (1 - β₂)(G'² - v);
/// u <- √(1 - β₂^t) / (1 - β₁^t) · Q_L[Q_LᵀmQ_R / (√v + ε)]Q_Rᵀ, the factor 1 with `Bias::kept`. After that
/// L <- L + (1 - β)(GGᵀ - L), R <- R + (1 - β)(GᵀG - R); every `frequency` calls one power iteration, LQ_L with its
/// columns, and the rows of v, sorted by falling diagonal of Q_LᵀLQ_L, and Q_L <- its orthogonal factor; likewise R.
/// The first call of a parameter makes L, R and their eigenvectors and holds the pipe: neither weight nor decay moves.
/// Shapes: [rows, columns]; a side longer than `max_dimension` keeps the identity, and no L or R; a parameter with one
/// dimension or none is Adam's, its first call held too; more are refused. exp_avg_sq lies in the turned basis.
/// Numerics: eigenvectors and orthogonal factors in the weight's dtype; a first gradient that is not finite makes the
/// bases NaN. Source: Vyas et al., arXiv 2409.11321.
template <Bias bias = Bias::corrected, class Number = double>
struct Soap {
  using pipe_role = StageRole;
  using fields = Fields<"exp_avg", "exp_avg_sq", "L", "R", "Q_L", "Q_R">;
  static constexpr bool changes_direction = true;
  static constexpr bool whole_tensor = true;
  static constexpr Dimensions dimensions{0, 2};

  Number beta1 = 0.95;
  Number beta2 = 0.95;
  Number shampoo_beta = -1;  ///< β of L and R; below 0: beta2
  Number epsilon = 1e-8;
  std::int64_t frequency = 10;         ///< calls from one turn of the basis to the next; 0: it stays as it began
  std::int64_t max_dimension = 10000;  ///< longest side that has a basis

  FieldShape field_shape(int field, FieldShape const& weight) const {
    if (field < 2) return weight;
    auto const side = static_cast<std::size_t>(field % 2);
    bool const turns = weight.size() == 2 && weight[side] <= max_dimension;
    return turns ? FieldShape{weight[side], weight[side]} : FieldShape{0};
  }
  constexpr bool holds(auto const& call) const { return call.calls == 0; }
  constexpr auto coefficients(auto const& call) const {
    using std::pow, std::sqrt;
    Number scale = 1.0;
    if constexpr (bias == Bias::corrected) {
      auto const t = static_cast<double>(call.calls == 0 ? 1 : call.calls);
      scale = sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
    }
    bool const turns = frequency > 0 && call.calls > 0 && call.calls % frequency == 0;
    return std::array<Number, 6>{1 - beta1, 1 - beta2, 1 - average_beta(), epsilon * call.multipliers.epsilon, scale,
                                 turns ? 1.0 : 0.0};
  }
  template <class V>
  static constexpr void hold(auto const& numbers, Element<V>& at, V&, V&, V& left, V& right, V& left_basis, V& right_basis) {
    left = numbers[2] * gram(at.gradient, left, 0);
    right = numbers[2] * gram(at.gradient, right, 1);
    left_basis = eigenvectors(left);
    right_basis = eigenvectors(right);
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average, V& moment, V& left, V& right,
                                V& left_basis, V& right_basis) {
    V const turned = into_basis(at.gradient, left_basis, right_basis);
    average = average + numbers[0] * (at.direction - average);
    moment = moment + numbers[1] * (turned * turned - moment);
    V const normalised = into_basis(average, left_basis, right_basis) / (sqrt(moment) + numbers[3]);
    at.direction = numbers[4] * out_of_basis(normalised, left_basis, right_basis);
    left = left + numbers[2] * (gram(at.gradient, left, 0) - left);
    right = right + numbers[2] * (gram(at.gradient, right, 1) - right);
    if (static_cast<bool>(numbers[5] != 0)) {
      turn_basis(moment, left, left_basis, 0);
      turn_basis(moment, right, right_basis, 1);
    }
  }
  std::string name() const {
    return "soap momentum " + number(beta1) + " second moment " + number(beta2) + " + " + number(epsilon) +
           (bias == Bias::corrected ? " corrected" : "") + " shampoo " + number(average_beta()) + " every " +
           std::to_string(frequency) + " to " + std::to_string(max_dimension);
  }

 private:
  constexpr Number average_beta() const { return static_cast<bool>(shampoo_beta < 0) ? beta2 : shampoo_beta; }
};

/// The settings of `soap`; the defaults are the authors'.
template <class Number = double>
struct SoapSettings {
  Number rate = 3e-3;
  Number beta1 = 0.95;
  Number beta2 = 0.95;
  Number shampoo_beta = -1;  ///< of the averages of GGᵀ and GᵀG; below 0: beta2
  Number epsilon = 1e-8;
  std::int64_t frequency = 10;
  std::int64_t max_dimension = 10000;
};

template <Bias bias = Bias::corrected, class Number>
constexpr auto soap(SoapSettings<Number> settings) {
  return recipe("soap", settings.rate,
                Soap<bias, Number>{settings.beta1, settings.beta2, settings.shampoo_beta, settings.epsilon,
                                   settings.frequency, settings.max_dimension});
}
/// Math: `Soap`. For matrices and, as Adam, vectors. Source: Vyas et al., arXiv 2409.11321; they decay by
/// `| decay_after(0.01, times_rate)`. Example: `soap({.rate = 3e-3}) | decay(0.01, times_rate)`.
template <Bias bias = Bias::corrected>
constexpr auto soap(SoapSettings<> settings = {}) {
  return soap<bias, double>(settings);
}

}  // namespace lierne
