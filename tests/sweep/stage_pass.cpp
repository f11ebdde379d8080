// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/stage_pass.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "lierne/optim/cautious.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

using namespace lierne;

TEST_CASE("a stage runs on a block as its mathematics says, element by element") {
  StagePassOf<Momentum<Bias::kept>> const pass({.beta = 0.75}, field_names<Momentum<Bias::kept>>());
  std::vector<double> weight(32), gradient(32), direction(32), average(32), numbers(pass.number_count());
  for (std::size_t i = 0; i < 32; ++i) {
    weight[i] = static_cast<double>(i);
    gradient[i] = -1;
    direction[i] = std::sin(static_cast<double>(i));
    average[i] = std::cos(static_cast<double>(i));
  }
  auto const before = average, given = direction;
  pass.write_numbers({.calls = 3}, numbers.data());
  double* const fields[] = {average.data()};
  pass.run(StageBlock<double>{weight.data(), gradient.data(), direction.data(), fields, numbers.data(), 32});
  for (std::size_t i = 0; i < 32; ++i) {
    double const expected = before[i] + 0.25 * (given[i] - before[i]);
    CHECK(average[i] == expected);
    CHECK(direction[i] == expected);
    CHECK(weight[i] == static_cast<double>(i));
    CHECK(gradient[i] == -1);
  }
}

TEST_CASE("a gate holds where its first number says so") {
  StagePassOf<NormaliseByPrevious<>> const pass({}, field_names<NormaliseByPrevious<>>());
  CHECK(pass.gate());
  std::vector<float> weight(16, 5), gradient(16, 3), direction(16, 3), moment(16, 4);
  std::vector<double> numbers(pass.number_count());
  float* const fields[] = {moment.data()};
  auto const run = [&](std::int64_t calls) {
    pass.write_numbers({.calls = calls}, numbers.data());
    std::vector<float> const rounded(numbers.begin(), numbers.end());
    pass.run(StageBlock<float>{weight.data(), gradient.data(), direction.data(), fields, rounded.data(), 16});
  };
  run(0);
  CHECK(moment == std::vector<float>(16, 9));
  CHECK(direction == std::vector<float>(16, 3));
  run(1);
  CHECK(direction == std::vector<float>(16, 1));
}

TEST_CASE("a stage says what it keeps, needs and is") {
  StagePassOf<ClipNorm> const clip({.largest = 2}, field_names<ClipNorm>());
  CHECK(clip.largest_norm() == 2);
  CHECK(clip.fields().empty());
  CHECK(clip.name() == "clip_norm 2");
  CHECK_FALSE(clip.gate());
  CHECK_FALSE(clip.whole_tensor());
  StagePassOf<Cautious<>> const whole({}, field_names<Cautious<>>());
  CHECK(whole.whole_tensor());
  using Labels = Labelled<"slow", Momentum<>>;
  StagePassOf<Momentum<>> const slow({}, field_names<Labels>());
  REQUIRE(slow.fields().size() == 1);
  CHECK(slow.fields()[0] == "slow_exp_avg");
}
