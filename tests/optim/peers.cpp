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

// A rule of matrices: what is small beside the largest singular value is known to fewer digits than the rest, so the bounds
// are those of Muon. In float32 it may be 1.25 times as far from the float64 run as the peer's own run in float32.
template <class Rule>
void equals_peer_of_matrices(std::string const& name, Rule const& rule) {
  auto const* folder = std::getenv("LIERNE_PEERS");
  REQUIRE_MESSAGE(folder != nullptr, "LIERNE_PEERS must name the folder that tests/optim/peers.py has written");
  CAPTURE(name);
  test::Trajectory const recorded(name, folder);
  double const peer = std::strtod(recorded.file.metadata().at("float32_deviation").c_str(), nullptr);
  for (auto path : test::all_paths) {
    CAPTURE(test::name(path));
    CHECK(test::replay(recorded, rule, path, float64).weights <= 1e-12);
    CHECK(test::replay(recorded, rule, path, float32).weights <= 1.25 * peer);
  }
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

TEST_CASE("muon by polar express, and normuon") {
  constexpr auto exact = IterationFormat::exact;
  equals_peer_of_matrices("muon_polar_express", muon<PolarExpress<>, exact>({.rate = 0.02}) | decay(0.1, times_rate));
  equals_peer_of_matrices("muon_polar_express_9", muon<PolarExpress<9>, exact, MuonScale::match_adam>({.rate = 0.02}));
  equals_peer_of_matrices("normuon", normuon<NewtonSchulz, exact>({.rate = 0.02}) | decay(0.1, times_rate));
  equals_peer_of_matrices("normuon_match_rms",
                          normuon<NewtonSchulz, exact, MuonScale::fixed_rms>({.rate = 0.02, .beta2 = 0.9, .epsilon = 1e-30}));
}

TEST_CASE("soap") {
  equals_peer_of_matrices("soap", soap({.rate = 3e-3, .frequency = 3}) | decay_after(0.02, times_rate));
  equals_peer_of_matrices("soap_one_side", soap<Bias::kept>({.rate = 3e-3, .beta1 = 0.9, .beta2 = 0.99, .shampoo_beta = 0.8,
                                                             .frequency = 1, .max_dimension = 5}));
}

TEST_CASE("weights to judge by") {
  equals_peer("ema", adamw({.rate = 3e-3}) | decay(0.02, times_rate) | ema(0.9));
  equals_peer("ema_warmup", plain_sgd(1e-2) | ema<EmaWarmup::harmonic>(0.8));
  equals_peer("schedule_free_adamw", schedule_free_adamw({.rate = 3e-3, .decay = 0.02}));
  equals_peer("schedule_free_weighted", recipe("weighted", 3e-3, normalise({.beta = 0.99})) |
                                            schedule_free({.beta = 0.95, .power = 1.5, .rate_power = 1}));
  equals_peer("schedule_free_sgd", schedule_free_sgd({.rate = 5e-2, .beta = 0.8, .decay = 0.02}));
}

TEST_CASE("a scaled loss") {
  auto const* folder = std::getenv("LIERNE_PEERS");
  REQUIRE(folder != nullptr);
  test::Trajectory const recorded("loss_scale", folder);
  auto const& file = recorded.file;
  auto const scales = file.tensor("scales");
  for (auto const path : test::all_paths) {
    auto const optimizer = bind(scheduled(unscale() | sgd({.rate = 1e-2, .momentum = 0.9}), recorded.schedule()), path);
    LossScale scale({.start = 128, .growth = 4, .backoff = 0.25, .interval = 4});
    std::vector<Slot> slots;
    for (int i = 0; i < 3; ++i) slots.push_back({.name = std::to_string(i), .weight = file.tensor("p0/" + std::to_string(i)).clone()});
    int skipped = 0;
    for (std::int64_t k = 0; k < scales.size(0); ++k) {
      for (auto& slot : slots) {
        if (file.tensor("mask/" + slot.name)[k].item<std::int64_t>() == 0) continue;
        slot.weight.mutable_grad() = scale.scaled(file.tensor("grad/" + slot.name)[k]);
      }
      auto const report = optimizer->step(slots, {.step = k, .loss_scale = scale.scale()});
      skipped += report.skipped;
      scale.update(report);
      CHECK(scale.scale() == scales[k].item<double>());
      for (auto const& slot : slots) {
        auto const away = (slot.weight - file.tensor("traj/" + slot.name)[k]).abs().max().item<double>();
        CHECK(away <= 1e-14 * recorded.scale);
      }
    }
    CHECK(skipped == 4);
  }
}
