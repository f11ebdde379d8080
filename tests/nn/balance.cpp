// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/balance.hpp"

#include <doctest/doctest.h>

#include "processes.hpp"

using namespace lierne;

namespace {

struct Layer {
  Buffer counts, bias;
  explicit Layer(std::vector<std::int64_t> const& tokens, std::string const& name = "layers.1.moe.tokens_per_expert") {
    counts.name = name;
    counts.value = at::tensor(at::ArrayRef<std::int64_t>(tokens));
    bias.value = at::zeros({counts.value.numel()}, at::TensorOptions().dtype(float32));
  }
  RoutedLayer routed(double rate = 1e-3) { return {&counts, &bias, rate}; }
};

/// The rule by a loop in float.
std::vector<float> moved(std::vector<float> bias, std::vector<std::int64_t> const& tokens, float rate) {
  double mean = 0;
  for (auto n : tokens) mean += static_cast<double>(n) / static_cast<double>(tokens.size());
  float sum = 0;
  std::vector<float> delta;
  for (auto n : tokens) {
    delta.push_back(static_cast<double>(n) < mean ? rate : static_cast<double>(n) > mean ? -rate : 0.0F);
    sum += delta.back();
  }
  for (std::size_t e = 0; e < bias.size(); ++e) bias[e] += delta[e] - sum / static_cast<float>(tokens.size());
  return bias;
}

void check_ranks() {
  auto const launch = Launch::from_environment();
  Mesh const mesh = join(Plan{.shard = rest}, launch);
  // Together {6, 2, 4, 0}; alone each rank would move other experts.
  Layer layer(launch.rank == 0 ? std::vector<std::int64_t>{6, 0, 0, 0} : std::vector<std::int64_t>{0, 2, 4, 0});
  auto const loads = update_expert_bias({layer.routed()}, mesh);
  auto const expected = moved({0, 0, 0, 0}, {6, 2, 4, 0}, 1e-3F);
  for (int e = 0; e < 4; ++e) CHECK(layer.bias.value[e].item<float>() == doctest::Approx(expected[e]).epsilon(1e-6));
  CHECK(loads[0].largest == 2);
  CHECK(loads[0].unused == 0.25);
}

}  // namespace

TEST_CASE("the bias moves towards experts with few tokens, by steps of mean zero") {
  std::vector<std::int64_t> const first{10, 2, 4, 0, 4}, second{1, 1, 9, 3, 6};
  Layer layer(first);
  auto const loads = update_expert_bias({layer.routed()}, Mesh{});
  REQUIRE(loads.size() == 1);
  CHECK(loads[0].site == "layers.1.moe");
  CHECK(loads[0].largest == 2.5);
  CHECK(loads[0].unused == 0.2);
  CHECK(layer.counts.value.equal(at::zeros({5}, at::TensorOptions().dtype(int64))));
  auto expected = moved({0, 0, 0, 0, 0}, first, 1e-3F);
  for (int e = 0; e < 5; ++e) CHECK(layer.bias.value[e].item<float>() == doctest::Approx(expected[e]).epsilon(1e-6));
  layer.counts.value.copy_(at::tensor(at::ArrayRef<std::int64_t>(second)));
  update_expert_bias({layer.routed()}, Mesh{});
  expected = moved(expected, second, 1e-3F);
  for (int e = 0; e < 5; ++e) CHECK(layer.bias.value[e].item<float>() == doctest::Approx(expected[e]).epsilon(1e-6));
  CHECK(std::abs(layer.bias.value.sum().item<double>()) <= 1e-9);
}

TEST_CASE("layers of different numbers of experts, one without a bias, one without tokens") {
  Layer a({3, 1}), b({5, 5, 2}, "layers.3.moe.tokens_per_expert"), idle({0, 0, 0, 0});
  auto unbiased = b.routed();
  unbiased.bias = nullptr;
  auto const loads = update_expert_bias({a.routed(), unbiased, idle.routed()}, Mesh{});
  REQUIRE(loads.size() == 3);
  CHECK(a.bias.value[0].item<float>() == -1e-3F);
  CHECK(loads[1].site == "layers.3.moe");
  CHECK(loads[1].largest == doctest::Approx(1.25));
  CHECK(b.counts.value.sum().item<std::int64_t>() == 0);
  CHECK(loads[2].largest == 0);
  CHECK(idle.bias.value.count_nonzero().item<std::int64_t>() == 0);
  CHECK(update_expert_bias({}, Mesh{}).empty());
}

TEST_CASE("counts beyond float32's integers are compared exactly") {
  auto const many = std::int64_t{1} << 33;
  Layer layer({many, many + 1, many - 1});
  update_expert_bias({layer.routed()}, Mesh{});
  CHECK(layer.bias.value[0].item<float>() == 0);
  CHECK(layer.bias.value[1].item<float>() < 0);
  CHECK(layer.bias.value[2].item<float>() > 0);
}

TEST_CASE("rank: counts are summed over data ranks" * doctest::skip()) { check_ranks(); }
TEST_CASE("two ranks move the bias by their joint counts") { processes::run("rank: counts are summed over data ranks", 2); }
