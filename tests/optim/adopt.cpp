// SPDX-License-Identifier: Apache-2.0
// ADOPT and QHADOPT against recorded runs of the official implementation and of the fork.
#include "lierne/optim/adopt.hpp"

#include <doctest/doctest.h>

#include "optim/trajectory.hpp"

using namespace lierne;

static_assert(Gate<NormaliseByPrevious<>> && !Gate<Normalise<>>);
static_assert(Layout<decltype(adopt())>::fields == 2);

TEST_CASE("adopt equals ADOPT with and without its bound and decay") {
  LIERNE_CHECK_TRAJECTORY("adopt_clip_nodecay", adopt({.rate = 3e-3}));
  LIERNE_CHECK_TRAJECTORY("adopt_noclip_decoupled", adopt({.rate = 3e-3}, no_bound) | decay(0.01, times_schedule));
  LIERNE_CHECK_TRAJECTORY("adopt_official_clip_decoupled", adopt({.rate = 3e-3}) | decay(0.1, times_rate));
}

TEST_CASE("qhadopt equals the fork's QHADOPT") {
  LIERNE_CHECK_TRAJECTORY("qhadopt_default", qhadopt({.rate = 3e-3}));
  LIERNE_CHECK_TRAJECTORY("qhadopt_decoupled", qhadopt({.rate = 3e-3}) | decay(0.01, times_schedule));
}

TEST_CASE("qhadopt with nu = 1 is adopt") {
  test::Trajectory const recorded("adopt_clip_nodecay");
  auto const rule = qhadopt({.rate = 3e-3, .beta1 = 0.9, .nu = 1});
  CHECK(test::replay(recorded, rule, Path::fused, float64).weights <= 1e-14);
}

TEST_CASE("the first call stores the squared gradient and moves nothing, decay included") {
  for (auto path : test::all_paths) {
    CAPTURE(test::name(path));
    auto const optimizer = bind(adopt({.rate = 0.1}) | decay(0.5, independent), path);
    auto const weight = at::arange(1, 12, at::TensorOptions().dtype(float64));
    auto const before = weight.clone();
    std::vector<Slot> const slots{{.name = "w", .weight = weight}};
    weight.mutable_grad() = at::full_like(weight, 3);
    optimizer->step(slots, {});
    CHECK(at::equal(weight, before));
    auto const state = optimizer->state();
    CHECK(at::equal(state.at("optim.state.w.exp_avg_sq"), at::full_like(weight, 9)));
    CHECK(at::equal(state.at("optim.state.w.exp_avg"), at::zeros_like(weight)));
    CHECK(state.at("optim.state.w.step").item<double>() == 1);

    // The second moves: n = 3/√9 = 1, bounded by 1; m = 0.1; w halves first.
    weight.mutable_grad() = at::full_like(weight, 3);
    optimizer->step(slots, {.step = 1});
    CHECK(at::allclose(weight, before * 0.5 - 0.1 * 0.1, 0, 1e-15));
  }
}

TEST_CASE("coupled decay reaches the first call's moment") {
  auto const optimizer = bind(decay(2, coupled) | adopt());
  auto const weight = at::full({3}, 5, at::TensorOptions().dtype(float64));
  weight.mutable_grad() = at::full_like(weight, 3);
  optimizer->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {});
  CHECK(at::equal(optimizer->state().at("optim.state.w.exp_avg_sq"), at::full_like(weight, 13 * 13)));
}
