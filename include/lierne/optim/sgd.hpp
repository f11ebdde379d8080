// SPDX-License-Identifier: Apache-2.0
// Stochastic gradient descent: plain, with heavy-ball or Nesterov momentum, or with quasi-hyperbolic momentum.
#pragma once

#include "lierne/optim/momentum.hpp"

namespace lierne {

/// Which direction a velocity gives: itself, or where the next call would go from it.
enum class Lookahead { none, nesterov };

/// Momentum as a velocity that gathers directions instead of averaging them.
/// Math: b <- u at a parameter's first call, later b <- μb + (1 - dampening)u; u <- b, or u + μb with `nesterov`.
/// Source: torch.optim.SGD.
template <Lookahead lookahead = Lookahead::none, class Number = double>
struct HeavyBall {
  using pipe_role = StageRole;
  using fields = Fields<"momentum_buffer">;
  static constexpr bool changes_direction = true;

  Number momentum = 0.9;
  Number dampening = 0;

  constexpr auto coefficients(auto const& call) const {
    return std::array<Number, 2>{momentum, call.calls == 0 ? Number(1) : 1 - dampening};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& velocity) {
    velocity = numbers[0] * velocity + numbers[1] * at.direction;
    if constexpr (lookahead == Lookahead::nesterov) {
      at.direction = at.direction + numbers[0] * velocity;
    } else {
      at.direction = velocity;
    }
  }
  std::string name() const {
    return std::string(lookahead == Lookahead::nesterov ? "nesterov " : "heavy ball ") + number(momentum) +
           (dampening == 0 ? "" : " dampening " + number(dampening));
  }
};

/// Example: `heavy_ball<Lookahead::nesterov>({.momentum = 0.95})`.
template <Lookahead lookahead = Lookahead::none>
constexpr HeavyBall<lookahead> heavy_ball(HeavyBall<lookahead> settings = {}) {
  return settings;
}

/// A stage that changes nothing, so that the direction is the gradient.
struct Identity {
  using pipe_role = StageRole;

  template <class V>
  static constexpr void element(auto const&, Element<V>&) {}
  std::string name() const { return "identity"; }
};

/// The settings of `sgd`.
template <class Number = double>
struct SgdSettings {
  Number rate = 1e-3;
  Number momentum = 0.9;
  Number dampening = 0;
};

/// The settings of `qhm`.
template <class Number = double>
struct QhmSettings {
  Number rate = 1;
  Number beta = 0.999;
  Number nu = 0.7;
};

template <Lookahead lookahead = Lookahead::none, class Number>
constexpr auto sgd(SgdSettings<Number> settings) {
  return recipe("sgd", settings.rate, HeavyBall<lookahead, Number>{settings.momentum, settings.dampening});
}
/// Math: u = b of `HeavyBall`. Source: torch.optim.SGD.
/// Example: `sgd({.rate = 0.1})`, `sgd<Lookahead::nesterov>({.rate = 0.1})`.
template <Lookahead lookahead = Lookahead::none>
constexpr auto sgd(SgdSettings<> settings = {}) {
  return sgd<lookahead, double>(settings);
}

/// Without momentum, which keeps no state. Math: u = g. Example: `plain_sgd(0.1)`.
template <class Number = double>
constexpr auto plain_sgd(Number rate = 1e-3) {
  return recipe("sgd", rate, Identity{});
}

template <class Number>
constexpr auto qhm(QhmSettings<Number> settings) {
  return recipe("qhm", settings.rate, QuasiHyperbolic<Bias::kept, Number>{settings.beta, settings.nu});
}
/// SGD with quasi-hyperbolic momentum. Math: m <- βm + (1 - β)g; u = (1 - ν)g + νm.
/// Source: Ma and Yarats, arXiv 1810.06801. ν = 0 is `plain_sgd`.
constexpr auto qhm(QhmSettings<> settings = {}) { return qhm<double>(settings); }

}  // namespace lierne
