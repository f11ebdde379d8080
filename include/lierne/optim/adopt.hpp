// SPDX-License-Identifier: Apache-2.0
// The recipes of ADOPT's order: normalisation by the previous second moment, then momentum.
#pragma once

#include "lierne/optim/clip_elements.hpp"
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

/// In place of a bound: elements are not clipped.
struct NoBound {};
inline constexpr NoBound no_bound{};

/// The settings of `adopt`.
template <class Number = double>
struct AdoptSettings {
  Number rate = 1e-3;
  Number beta1 = 0.9;
  Number beta2 = 0.9999;
  Number epsilon = 1e-6;
};

/// The settings of `qhadopt`.
template <class Number = double>
struct QhAdoptSettings {
  Number rate = 1e-3;
  Number beta1 = 0.999;
  Number beta2 = 0.9999;
  Number nu = 0.9;
  Number epsilon = 1e-6;
};

namespace detail {

template <class Normalised, class Bound, class Averaged>
constexpr auto adopt_body(Normalised normalised, Bound bound, Averaged averaged) {
  if constexpr (std::is_same_v<Bound, NoBound>) {
    return normalised | averaged;
  } else {
    return normalised | ClipElements<Bound>{bound} | averaged;
  }
}

}  // namespace detail

template <class Number, class Bound = QuarterPower>
constexpr auto adopt(AdoptSettings<Number> settings, Bound bound = {}) {
  return recipe("adopt", settings.rate,
                detail::adopt_body(NormaliseByPrevious<Epsilon::floor, Number>{settings.beta2, settings.epsilon}, bound,
                                   Momentum<Bias::kept, Number>{settings.beta1}));
}
/// Math: the first call of a parameter stores v <- g² and does nothing else. Later
/// n = clamp(g / max(√v, ε), ±t^¼), m <- m + (1 - β₁)(n - m), u = m, v <- β₂v + (1 - β₂)g²; t = finished calls.
/// Source: Taniguchi et al., arXiv 2411.02853, official implementation.
/// Example: `adopt({.rate = 1e-3}) | decay(0.1, times_rate)`, without the bound `adopt({}, no_bound)`.
template <class Bound = QuarterPower>
constexpr auto adopt(AdoptSettings<> settings = {}, Bound bound = {}) {
  return adopt<double>(settings, bound);
}

template <class Number, class Bound = QuarterPower>
constexpr auto qhadopt(QhAdoptSettings<Number> settings, Bound bound = {}) {
  return recipe("qhadopt", settings.rate,
                detail::adopt_body(NormaliseByPrevious<Epsilon::floor, Number>{settings.beta2, settings.epsilon}, bound,
                                   QuasiHyperbolic<Bias::kept, Number>{settings.beta1, settings.nu}));
}
/// ADOPT with quasi-hyperbolic momentum: u = (1 - ν)n + νm. ν = 1 is `adopt`. Source: MT-DAO, arXiv 2510.05361.
/// Example: `qhadopt({.rate = 1e-3, .nu = 0.9})`.
template <class Bound = QuarterPower>
constexpr auto qhadopt(QhAdoptSettings<> settings = {}, Bound bound = {}) {
  return qhadopt<double>(settings, bound);
}

}  // namespace lierne
