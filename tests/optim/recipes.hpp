// SPDX-License-Identifier: Apache-2.0
// The recipes in two lists, for the tests that all of them must pass.
#pragma once

#include "lierne/optim/optim.hpp"

namespace lierne::test {

/// Calls `visit(rule)` for each recipe, with a rate at which it converges on a quadratic within a few hundred calls.
template <class Visit>
void for_each_recipe(Visit&& visit) {
  visit(adamw({.rate = 0.05}));
  visit(amsgrad({.rate = 0.05}));
  visit(adopt({.rate = 0.05}));
  visit(adopt({.rate = 0.05}, no_bound));
  visit(qhadopt({.rate = 0.05, .beta1 = 0.99}));
  visit(qhadamw({.rate = 0.05}));
  visit(ademamix({.rate = 0.02, .beta3 = 0.99, .share = 2, .warmup = 20}));
  visit(nadam({.rate = 0.05}));
  visit(laprop({.rate = 0.05}));
  visit(lion({.rate = 0.02}));
  visit(rmsprop({.rate = 0.02}));
  visit(rmsprop<Centring::mean>({.rate = 0.01}));
  visit(plain_sgd(0.2));
  visit(sgd({.rate = 0.05}));
  visit(sgd<Lookahead::nesterov>({.rate = 0.05, .momentum = 0.8}));
  visit(qhm({.rate = 0.3, .beta = 0.9}));
  visit(aggmo<3>({.rate = 0.02, .betas = {0, 0.5, 0.9}}));
  visit(recipe("floor adam", 0.05, momentum() | normalise<Epsilon::floor>({.epsilon = 1e-6})));
  visit(recipe("cautious adam", 0.03, momentum() | normalise() | cautious()));
  visit(mars_adamw({.rate = 0.05}));
  visit(schedule_free_adamw({.rate = 0.1}));
  visit(schedule_free_sgd({.rate = 0.5}));
  visit(recipe("mixed", 0.2, MixedMomentum<2>{{0.5, 0.9}, {0.3, 0.6}}));
  visit(soap({.rate = 0.05}));
}

/// The same for recipes of matrices.
template <class Visit>
void for_each_matrix_recipe(Visit&& visit) {
  visit(muon({.rate = 0.03}));
  visit(muon<PolarExpress<>, IterationFormat::exact, MuonScale::match_adam>({.rate = 0.06}));
  visit(normuon({.rate = 0.03}));
  visit(normuon<PolarExpress<6>, IterationFormat::exact, MuonScale::fixed_rms>({.rate = 0.06}));
  visit(soap({.rate = 0.05, .frequency = 3}));
  visit(soap<Bias::kept>({.rate = 0.05, .max_dimension = 5}));
}

}  // namespace lierne::test
