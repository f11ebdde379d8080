// SPDX-License-Identifier: Apache-2.0
#include "optim/compositions/random_rule.hpp"

namespace lierne::test {

namespace {

// In how many places a call rounds: a few for each of up to five stages. Each counts as inputs that are off.
constexpr double places = 16;
double worst = 0;

}  // namespace

void compare_paths(std::string const& name, std::unique_ptr<Optimizer> const (&exact)[3],
                   std::unique_ptr<Optimizer> const (&rounded)[2], Optimizer& nudged) {
  CAPTURE(name);
  std::vector<Tensor> results[3];
  for (int path = 0; path < 3; ++path) results[path] = weights_after(*exact[path], float64);
  std::vector<Tensor> const single[2] = {weights_after(*rounded[0], float32), weights_after(*rounded[1], float32)};
  // How far inputs that are off by float32's rounding move the result: the condition of this rule on these inputs.
  double const unit = std::exp2(-24);
  auto const moved = weights_after(nudged, float64, unit);
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    double const scale = std::max(1.0, results[2][i].abs().max().item<double>());
    auto const away = [&](Tensor const& from) { return (from - results[2][i]).abs().max().item<double>() / scale; };
    CHECK(away(results[0][i]) <= 1e-12);
    CHECK(away(results[1][i]) <= 1e-12);
    double const bound = places * (away(moved[i]) + unit);
    auto const within = [&](double error) {
      worst = std::max(worst, error / bound);
      CHECK(error <= bound);
    };
    within(away(single[0][i]));
    within(away(single[1][i]));
    within((single[0][i] - single[1][i]).abs().max().item<double>() / scale);
  }
}

TEST_CASE("the compositions differ") {
  CHECK(name(random_rule<0>()) != name(random_rule<1>()));
  CHECK(draw(3, 1, 5) == draw(3, 1, 5));
}

TEST_CASE("what the float32 paths used of their bound") { MESSAGE("largest error over its bound so far: ", worst); }

}  // namespace lierne::test
