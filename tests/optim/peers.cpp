// SPDX-License-Identifier: Apache-2.0
// Recipes against torch.optim and pytorch-optimizer themselves: peers.py runs them before this test and records what they do.
#include <doctest/doctest.h>

#include "optim/trajectory.hpp"

using namespace lierne;

namespace {

template <class Rule>
void equals_peer(std::string const& name, Rule const& rule) {
  auto const* folder = std::getenv("LIERNE_PEERS");
  REQUIRE_MESSAGE(folder != nullptr, "LIERNE_PEERS must name the folder that tests/optim/peers.py has written");
  CAPTURE(name);
  test::check_trajectory(test::Trajectory(name, folder), rule);
}

}  // namespace

TEST_CASE("adam in its other forms") {
  equals_peer("adam_coupled", decay(0.02, coupled) | adamw({.rate = 3e-3}));
  equals_peer("adamw_amsgrad_maximize", maximize() | amsgrad({.rate = 3e-3}) | decay(0.02, times_rate));
}

TEST_CASE("gradient descent") {
  equals_peer("sgd", plain_sgd(1e-2));
  equals_peer("sgd_momentum_dampening",
              decay(0.02, coupled) | sgd({.rate = 1e-2, .momentum = 0.9, .dampening = 0.3}));
  equals_peer("sgd_nesterov", decay(0.02, coupled) | sgd<Lookahead::nesterov>({.rate = 1e-2, .momentum = 0.9}));
  equals_peer("qhm", qhm({.rate = 1e-2, .beta = 0.99, .nu = 0.7}));
  equals_peer("aggmo", aggmo<3>({.rate = 1e-3, .betas = {0, 0.9, 0.99}}));
}

TEST_CASE("normalised by an uncorrected mean square") {
  equals_peer("rmsprop", rmsprop({.rate = 1e-3}));
  equals_peer("rmsprop_centred_momentum",
              recipe("rmsprop", 1e-3, RootMeanSquare<Centring::mean>{} | heavy_ball({.momentum = 0.9})));
}

TEST_CASE("nadam") {
  equals_peer("nadam", nadam({.rate = 3e-3}));
  equals_peer("nadam_decoupled", nadam({.rate = 3e-3, .warmth = 0.3}) | decay(0.02, times_rate));
}

TEST_CASE("normalisation before momentum") {
  equals_peer("laprop", laprop({.rate = 3e-3, .epsilon = 1e-30}));
  equals_peer("adopt_coupled", decay(0.02, coupled) | adopt({.rate = 3e-3}));
}

TEST_CASE("sums over a parameter") {
  equals_peer("cautious_adopt",
              recipe("cautious adopt", 3e-3,
                     NormaliseByPrevious<>{} | ClipElements<>{} | momentum<Bias::kept>() | cautious<CautiousScale::count>()));
  equals_peer("mars", mars_adamw({.rate = 3e-3, .beta1 = 0.95, .beta2 = 0.99, .epsilon = 1e-30}) | decay(0.02, times_rate));
}
