// SPDX-License-Identifier: Apache-2.0
// The bound on elements: its schedule, both sides, NaN.
#include "lierne/optim/clip_elements.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/pass.hpp"

using namespace lierne;

namespace {

struct Half {
  double operator()(std::int64_t) const { return 0.5; }
};

double clipped(auto const& stage, std::int64_t calls, double direction) {
  std::array<double, 1> numbers;
  write_numbers(stage, Call<>{.calls = calls}, numbers.data());
  Element<Lane<double>> at{.weight = 0, .gradient = 0, .direction = direction};
  run_stages<std::remove_cvref_t<decltype(stage)>>(numbers.data(), at, static_cast<Lane<double>*>(nullptr));
  return at.direction.value;
}

}  // namespace

static_assert(Layout<ClipElements<>>::fields == 0 && Layout<ClipElements<>>::numbers == 1);
static_assert(sizeof(ClipElements<Half>) == 1);

TEST_CASE("the quarter power counts finished calls: 1 on the first real update") {
  auto const stage = clip_elements(QuarterPower{});
  for (std::int64_t calls : {1, 2, 16, 81, 10000}) {
    double const bound = std::pow(static_cast<double>(calls), 0.25);
    CHECK(clipped(stage, calls, 100) == bound);
    CHECK(clipped(stage, calls, -100) == -bound);
    CHECK(clipped(stage, calls, 0.9) == 0.9);
  }
  CHECK(clipped(stage, 0, 3) == 0);
}

TEST_CASE("a bound of one's own, and its name") {
  CHECK(clipped(clip_elements(Half{}), 7, 2) == 0.5);
  CHECK(clip_elements(Half{}).name() == "clip_elements by an own bound");
  CHECK(clip_elements(QuarterPower{}).name() == "clip_elements t^1/4");
}

TEST_CASE("NaN stays NaN") { CHECK(std::isnan(clipped(clip_elements(Half{}), 1, std::nan("")))); }
