// SPDX-License-Identifier: Apache-2.0
// The four forms of decay, their coefficients and their multipliers.
#include "lierne/optim/decay.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/optim/pass.hpp"

using namespace lierne;

namespace {

Element<Lane<double>> after(auto const& stage, Call<> const& call) {
  std::array<double, 1> numbers;
  write_numbers(stage, call, numbers.data());
  Element<Lane<double>> at{.weight = 8, .gradient = 3, .direction = 5};
  run_stages<std::remove_cvref_t<decltype(stage)>>(numbers.data(), at, static_cast<Lane<double>*>(nullptr));
  CHECK(at.direction.value == 5);
  return at;
}

}  // namespace

static_assert(std::is_same_v<decltype(decay(0.1, coupled)), Decay<DecayForm::coupled>>);
static_assert(Layout<Decay<DecayForm::times_rate>>::numbers == 1);

TEST_CASE("each form is its formula") {
  Call<> const call{.rate = 0.25, .factor = 0.5};
  CHECK(after(decay(0.5, times_rate), call).weight.value == 8 * (1 - 0.25 * 0.5));
  CHECK(after(decay(0.5, times_schedule), call).weight.value == 8 * (1 - 0.5 * 0.5));
  CHECK(after(decay(0.5, independent), call).weight.value == 8 * (1 - 0.5));
  auto const l2 = after(decay(0.5, coupled), call);
  CHECK(l2.weight.value == 8);
  CHECK(l2.gradient.value == 3 + 0.5 * 8);
}

TEST_CASE("the multiplier of decay reaches every form, that of the rate times_rate alone") {
  Call<> const call{.rate = 0.25, .factor = 0.5, .multipliers = {.rate = 100, .decay = 0.5}};
  CHECK(after(decay(0.5, times_rate), call).weight.value == 8 * (1 - 0.25 * 0.25));  // the call's rate has its own in it
  CHECK(after(decay(0.5, times_schedule), call).weight.value == 8 * (1 - 0.5 * 0.25));
  CHECK(after(decay(0.5, independent), call).weight.value == 8 * (1 - 0.25));
  CHECK(after(decay(0.5, coupled), call).gradient.value == 3 + 0.25 * 8);
}

TEST_CASE("no strength, no change") {
  Call<> const call{.rate = 0.25, .factor = 0.5};
  CHECK(after(decay(0, times_rate), call).weight.value == 8);
  CHECK(after(decay(0, coupled), call).gradient.value == 3);
}

TEST_CASE("decay behind the step is decay of what the step left") {
  auto const rule = plain_sgd(0.25) | decay_after(0.5, times_rate);
  std::vector<Slot> const slots{{.name = "w", .weight = at::full({3}, 8.0, at::kDouble)}};
  slots[0].weight.mutable_grad() = at::full({3}, 3.0, at::kDouble);
  bind(rule)->step(slots, {});
  CHECK(at::equal(slots[0].weight, at::full({3}, (8 - 0.25 * 3) * (1 - 0.25 * 0.5), at::kDouble)));
  CHECK(name(rule).find("decay 0.5 times_rate after the step") != std::string::npos);
}

TEST_CASE("a decay names its form") {
  CHECK(decay(0.1, times_rate).name() == "decay 0.1 times_rate");
  CHECK(decay(0.1, times_schedule).name() == "decay 0.1 times_schedule");
  CHECK(decay(0.1, independent).name() == "decay 0.1 independent");
  CHECK(decay(0.1, coupled).name() == "decay 0.1 coupled");
}
