// SPDX-License-Identifier: Apache-2.0
// Rules that are given CUDA kernels. nvcc reads this header, so it names no LibTorch header.
#pragma once

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/ademamix.hpp"
#include "lierne/optim/adopt.hpp"
#include "lierne/optim/aggmo.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/laprop.hpp"
#include "lierne/optim/lion.hpp"
#include "lierne/optim/maximize.hpp"
#include "lierne/optim/nadam.hpp"
#include "lierne/optim/qhadamw.hpp"
#include "lierne/optim/rmsprop.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/sgd.hpp"

namespace cuda_rules {

namespace ln = lierne;

// A stage of a user's own.
struct Drag {
  using pipe_role = ln::StageRole;
  using fields = ln::Fields<"previous">;
  static constexpr bool changes_direction = true;

  double strength = 0.1;

  constexpr auto coefficients(auto const& call) const { return std::array{strength * call.factor}; }
  template <class V>
  static constexpr void element(auto const& numbers, ln::Element<V>& at, V& previous) {
    V const direction = at.direction;
    at.direction = direction + numbers[0] * previous;
    previous = direction;
  }
};

inline constexpr double rate = 0.01;  // no rule: takes no kernel

inline constexpr auto adamw = ln::clip_norm(1.0) | ln::adamw({.rate = rate}) | ln::decay(0.1, ln::times_rate);
inline constexpr auto amsgrad = ln::decay(0.1, ln::coupled) | ln::amsgrad({.rate = rate});
inline constexpr auto qhadamw = ln::qhadamw({.rate = rate}) | ln::decay(0.01, ln::times_schedule);
inline constexpr auto adopt = ln::adopt({.rate = rate}) | ln::decay(0.1, ln::times_rate);
inline constexpr auto qhadopt = ln::clip_norm(1.0) | ln::qhadopt({.rate = rate}, ln::no_bound);
inline constexpr auto ademamix = ln::ademamix({.rate = rate}) | ln::decay(0.1, ln::times_rate);
inline constexpr auto aggmo = ln::aggmo<3>({.rate = rate, .betas = {0, 0.9, 0.99}});
inline constexpr auto laprop = ln::laprop({.rate = rate});
inline constexpr auto lion = ln::lion({.rate = rate}) | ln::decay(0.1, ln::times_rate);
inline constexpr auto nadam = ln::nadam({.rate = rate});
inline constexpr auto rmsprop = ln::maximize() | ln::rmsprop({.rate = rate});
inline constexpr auto sgd = ln::sgd<ln::Lookahead::nesterov>({.rate = rate});
inline constexpr auto mine = ln::recipe("mine", rate, ln::labelled<"slow">(ln::momentum({.beta = 0.99})) | ln::normalise() | Drag{}) |
                             ln::decay(0.1, ln::independent);

/// Calls `visit(title, rule)` for every rule above.
template <class Visit>
void for_each(Visit&& visit) {
  visit("adamw", adamw);
  visit("amsgrad", amsgrad);
  visit("qhadamw", qhadamw);
  visit("adopt", adopt);
  visit("qhadopt", qhadopt);
  visit("ademamix", ademamix);
  visit("aggmo", aggmo);
  visit("laprop", laprop);
  visit("lion", lion);
  visit("nadam", nadam);
  visit("rmsprop", rmsprop);
  visit("sgd", sgd);
  visit("mine", mine);
}

}  // namespace cuda_rules
