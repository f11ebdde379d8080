// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/temperature.hpp"

#include <cmath>

#include "nn/alone.hpp"

using namespace lierne;

TEST_CASE("each query is multiplied by the factor of its position, from loops in double") {
  auto const q = alone::normal({2, 23, 3, 4}, 1);
  QueryTemperature const temperature{.scale = 0.3, .floor = 5};
  auto const found = tempered(q, temperature);
  auto const single = tempered(q.to(float32), temperature), narrow = tempered(q.to(bfloat16), temperature);
  CHECK((single.scalar_type() == float32));
  CHECK((narrow.scalar_type() == bfloat16));
  for (int t = 0; t < 23; ++t) {
    double const factor = 1 + 0.3 * std::log(1 + std::floor((t + 1) / 5.0));
    CHECK(alone::relative(found.select(1, t), q.select(1, t) * factor) <= 1e-15);
    CHECK(alone::relative(single.select(1, t), q.select(1, t) * factor) <= 1e-7);
    CHECK(alone::relative(narrow.select(1, t), q.select(1, t).to(bfloat16).to(float64) * factor) <= 4e-3);
  }
}

TEST_CASE("Llama 4's: factor 1 up to 8191 tokens, then steps") {
  auto const q = at::ones({1, 16384, 1, 1}, float64);
  auto const found = tempered(q, llama4_temperature).flatten();
  CHECK(found[8190].item<double>() == 1);
  CHECK(found[8191].item<double>() == doctest::Approx(1 + 0.1 * std::log(2)).epsilon(1e-15));
  CHECK(found[16382].item<double>() == found[8191].item<double>());
  CHECK(found[16383].item<double>() == doctest::Approx(1 + 0.1 * std::log(3)).epsilon(1e-15));
  auto const before = q.narrow(1, 0, 8191);
  CHECK(tempered(before, llama4_temperature).is_same(before));
}

TEST_CASE("its gradient is the factor") {
  std::map<std::string, Tensor> leaves{{"q", alone::normal({1, 7, 2, 3}, 1).requires_grad_()}};
  alone::check_gradients([&] { return tempered(leaves["q"], {.scale = 0.5, .floor = 2}).square().sum(); }, leaves);
}
