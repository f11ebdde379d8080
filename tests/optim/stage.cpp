// SPDX-License-Identifier: Apache-2.0
// The contract of a stage, by stages of this file's own.
#include "lierne/optim/stage.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/clip_norm.hpp"
#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

namespace own {

// The stage that the header's comment shows.
struct Drag {
  using pipe_role = lierne::StageRole;
  using fields = lierne::Fields<"previous">;
  double strength = 0.1;
  constexpr auto coefficients(auto const& call) const { return std::array{strength * call.factor}; }
  template <class V>
  static constexpr void element(auto const& numbers, lierne::Element<V>& at, V& previous) {
    auto const& [strength] = numbers;
    V const direction = at.direction;
    at.direction = direction + strength * previous;
    previous = direction;
  }
};

struct WithoutRole {};

}  // namespace own

using namespace lierne;

static_assert(Stage<own::Drag> && Stage<Momentum<>> && Stage<Pipe<own::Drag, Momentum<>>>);
static_assert(!Stage<own::WithoutRole> && !Stage<int>);
static_assert(Gate<NormaliseByPrevious<>> && !Gate<own::Drag>);
static_assert(PhaseBoundary<ClipNorm> && !PhaseBoundary<own::Drag>);
static_assert(Multipliers{}.rate == 1 && Multipliers{}.decay == 1 && Multipliers{}.epsilon == 1);

TEST_CASE("a stage's element runs on one value, as its mathematics says") {
  auto const numbers = own::Drag{.strength = 0.5}.coefficients(Call<>{.factor = 0.5});
  Element<Lane<double>> at{.weight = 1, .gradient = 2, .direction = 3};
  Lane<double> previous = 8;
  own::Drag::element(numbers, at, previous);
  CHECK(at.direction.value == 3 + 0.25 * 8);
  CHECK(previous.value == 3);
  CHECK(at.weight.value == 1);
}

TEST_CASE("an element is a constant expression, so a CUDA thread can run it") {
  constexpr auto direction = [] {
    Element<Lane<float>> at{.weight = 1, .gradient = 2, .direction = 3};
    Lane<float> average = 1;
    Momentum<Bias::kept>::element(std::array{0.5f}, at, average);
    return at.direction.value;
  }();
  static_assert(direction == 2.0f);
  CHECK(direction == 2.0f);
}
