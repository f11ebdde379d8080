// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/routing.hpp"

#include <algorithm>
#include <numeric>

#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr Moe plain{.experts = 5, .top_k = 2};

double value(Tensor const& t, std::int64_t i, std::int64_t j) { return t[i][j].item<double>(); }

/// Choices and scores by loops over tokens and experts in double.
void equals_loops(Moe const& spec, Tensor const& logits, Tensor const& bias) {
  auto const found = route(logits, bias, spec);
  auto const tokens = logits.size(0);
  REQUIRE(found.choices.sizes() == at::IntArrayRef({tokens, spec.top_k}));
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::vector<double> s(spec.experts);
    double whole = 0;
    for (int e = 0; e < spec.experts; ++e) whole += std::exp(value(logits, t, e));
    for (int e = 0; e < spec.experts; ++e) {
      double const z = value(logits, t, e);
      s[e] = spec.score == Score::sigmoid ? 1 / (1 + std::exp(-z)) : std::exp(z) / whole;
    }
    std::vector<int> order(spec.experts);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, std::greater{},
                      [&](int e) { return s[e] + (bias.defined() ? bias[e].item<double>() : 0); });
    double sum = 1e-20;
    for (int k = 0; k < spec.top_k; ++k) sum += s[order[k]];
    for (int k = 0; k < spec.top_k; ++k) {
      CHECK(found.choices[t][k].item<std::int64_t>() == order[k]);
      double const expected = s[order[k]] / (spec.route_norm ? sum : 1) * spec.route_scale;
      CHECK(value(found.scores, t, k) == doctest::Approx(expected).epsilon(1e-14));
    }
  }
}

}  // namespace

TEST_CASE("choices are the largest scores with the bias, weights are the scores without it") {
  auto const logits = alone::normal({40, 5}, 1), bias = alone::normal({5}, 2, 0.3);
  for (auto score : {Score::sigmoid, Score::softmax}) {
    for (bool norm : {false, true}) {
      for (double scale : {1.0, 2.5}) {
        Moe const spec{.experts = 5, .top_k = 2, .score = score, .route_norm = norm, .route_scale = scale};
        equals_loops(spec, logits, bias);
        equals_loops(spec, logits, Tensor());
      }
    }
  }
  // The bias decides here: without it other experts are chosen.
  CHECK_FALSE(route(logits, bias, plain).choices.equal(route(logits, Tensor(), plain).choices));
}

TEST_CASE("normalised weights sum to the scale") {
  auto const scores = route(alone::normal({40, 5}, 1), Tensor(), {.experts = 5, .top_k = 3, .route_norm = true, .route_scale = 1.5}).scores;
  CHECK(((scores.sum(-1) - 1.5).abs() <= 1e-14).all().item<bool>());
}

TEST_CASE("the gradient of the router is that of finite differences; the bias has none") {
  auto const by = alone::normal({12, 2}, 3), bias = alone::normal({5}, 4, 0.3);
  for (auto score : {Score::sigmoid, Score::softmax}) {
    for (bool norm : {false, true}) {
      Moe const spec{.experts = 5, .top_k = 2, .score = score, .route_norm = norm, .route_scale = 1.7};
      std::map<std::string, Tensor> leaves{{"logits", alone::normal({12, 5}, 5).requires_grad_()}};
      alone::check_gradients([&] { return (route(leaves["logits"], bias, spec).scores * by).sum(); }, leaves);
    }
  }
}

TEST_CASE("forced balance deals the experts out in turn") {
  Moe const spec{.experts = 3, .top_k = 2, .forced_balance = true};
  auto const logits = alone::normal({5, 3}, 1);
  auto const found = route(logits, Tensor(), spec);
  CHECK(found.choices.flatten().equal(at::remainder(at::arange(10), 3)));
  CHECK(found.scores.equal(at::sigmoid(logits).gather(1, found.choices)));
}

TEST_CASE("the auxiliary loss adds its gradient, and nothing to the value") {
  // The loss is written out here with the choices held, since shares of them have no gradient.
  auto const by = alone::normal({12, 2}, 3);
  for (auto score : {Score::sigmoid, Score::softmax}) {
    Moe const bare{.experts = 5, .top_k = 2, .score = score};
    auto used = bare;
    used.auxiliary = 0.3;
    constexpr double weight = 1.0 / 48;  // a token of a step of 48
    auto const logits = alone::normal({12, 5}, 5).requires_grad_();
    auto const found = route(logits, Tensor(), used, weight);
    CHECK(found.scores.equal(route(logits, Tensor(), bare).scores));
    backward((found.scores * by).sum());

    std::map<std::string, Tensor> leaves{{"logits", logits.detach().clone().requires_grad_()}};
    auto const written_out = [&] {
      auto const s = score == Score::sigmoid ? at::sigmoid(leaves["logits"]) : at::softmax(leaves["logits"], -1);
      auto const probability = (s / s.sum(-1, true)).mean(0);
      Tensor loss = (s.gather(1, found.choices) * by).sum();
      for (int e = 0; e < 5; ++e) {
        double const share = (found.choices == e).sum().item<double>() / 24;
        loss = loss + 0.3 * 5 * share * probability[e] * (12 * weight);
      }
      return loss;
    };
    alone::check_gradients(written_out, leaves);
    CHECK(alone::relative(logits.grad(), leaves["logits"].grad()) <= 1e-14);
  }
}

TEST_CASE("no token and one token") {
  CHECK(route(at::zeros({0, 5}), Tensor(), plain).choices.sizes() == at::IntArrayRef({0, 2}));
  CHECK(route(at::zeros({0, 5}), Tensor(), {.experts = 5, .auxiliary = 1}, 1.0).scores.sizes() == at::IntArrayRef({0, 1}));
  equals_loops(plain, alone::normal({1, 5}, 9), Tensor());
}

TEST_CASE("logits of other experts are refused") {
  CHECK_THROWS_WITH_AS(route(at::zeros({3, 4}), Tensor(), plain),
                       "route: expected logits [T, 5] and a bias of 5, found [3, 4] and none", ShapeError);
  CHECK_THROWS_AS(route(at::zeros({3, 5}), at::zeros({4}), plain), ShapeError);
}
