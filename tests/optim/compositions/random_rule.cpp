// SPDX-License-Identifier: Apache-2.0
#include "optim/compositions/random_rule.hpp"

namespace lierne::test {

void compare_paths(std::string const& name, std::unique_ptr<Optimizer> const (&exact)[3],
                   std::unique_ptr<Optimizer> const (&rounded)[2]) {
  CAPTURE(name);
  std::vector<Tensor> results[3];
  for (int path = 0; path < 3; ++path) results[path] = weights_after(*exact[path], float64);
  std::vector<Tensor> const single[2] = {weights_after(*rounded[0], float32), weights_after(*rounded[1], float32)};
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    double const scale = std::max(1.0, results[2][i].abs().max().item<double>());
    auto const away = [&](Tensor const& from) { return (from - results[2][i]).abs().max().item<double>() / scale; };
    CHECK(away(results[0][i]) <= 1e-12);
    CHECK(away(results[1][i]) <= 1e-12);
    // Float32 against float64: eight calls of relative error 2⁻²⁴, which divisions by small moments enlarge.
    CHECK(away(single[0][i]) <= 2e-4);
    CHECK(away(single[1][i]) <= 2e-4);
    CHECK((single[0][i] - single[1][i]).abs().max().item<double>() / scale <= 2e-4);
  }
}

TEST_CASE("the compositions differ") {
  CHECK(name(random_rule<0>()) != name(random_rule<1>()));
  CHECK(draw(3, 1, 5) == draw(3, 1, 5));
}

}  // namespace lierne::test
