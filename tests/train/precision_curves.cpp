// SPDX-License-Identifier: Apache-2.0
// How far the loss curves of narrow precisions are from those of float32: the same model, first weights, batches and rule.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "lierne/nn/nn.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/tensor/generator.hpp"

using namespace lierne;

namespace {

constexpr Decoder debug{.layers = 4,
                        .width = 128,
                        .vocab = 512,
                        .mixer = Attention{.heads = 4, .kv_heads = 2},
                        .channel = SwiGlu{.hidden = 384}};
constexpr std::int64_t rows = 8, length = 128;
constexpr int window = 20;  // steps in a point of a curve

/// A chain in which each token has four successors of its own, of unequal weight, and one of eight steps jumps anywhere:
/// there is much to learn, and no batch repeats.
class Chain {
 public:
  Tensor next() {
    auto const step = [&](Tensor const& token) {
      auto const pick = at::randint(8, {rows}, generator_, at::TensorOptions().dtype(int64));
      auto const way = at::where(pick < 4, 0, at::where(pick < 6, 1, pick - 4));
      auto const follows = (token * 167 + way * way * 89 + 41).remainder(debug.vocab);
      auto const jump = at::randint(8, {rows}, generator_, at::TensorOptions().dtype(int64)) == 0;
      return at::where(jump, at::randint(debug.vocab, {rows}, generator_, at::TensorOptions().dtype(int64)), follows);
    };
    TensorList tokens{at::randint(debug.vocab, {rows}, generator_, at::TensorOptions().dtype(int64))};
    for (std::int64_t t = 0; t < length; ++t) tokens.push_back(step(tokens.back()));
    return at::stack(tokens, 1);
  }

 private:
  Generator generator_ = make_generator(11);
};

/// The loss of every step.
template <auto spec>
std::vector<double> curve(int steps) {
  Model<spec> model;
  model.init({.seed = 5});
  std::vector<Slot> slots;
  for (auto* p : model.parameters()) slots.push_back({.name = p->name, .weight = p->owned});
  auto const optimizer = bind(scheduled(clip_norm(1.0) | adamw({.rate = 2e-3, .beta2 = 0.95}) | decay(0.1, times_rate),
                                        warmup(20) | cosine_to(0.1)));
  Chain chain;
  std::vector<double> losses;
  for (int k = 0; k < steps; ++k) {
    auto const ids = chain.next();
    auto const loss = model.loss(ids.narrow(1, 0, length), ids.narrow(1, 1, length), rows * length);
    backward(loss);
    optimizer->step(slots, {.step = k, .total = steps});
    losses.push_back(loss.template item<double>());
  }
  return losses;
}

/// The mean of each window.
std::vector<double> smoothed(std::vector<double> const& losses) {
  std::vector<double> means;
  for (std::size_t i = 0; i + window <= losses.size(); i += window) {
    double sum = 0;
    for (int k = 0; k < window; ++k) sum += losses[i + static_cast<std::size_t>(k)];
    means.push_back(sum / window);
  }
  return means;
}

/// The largest distance of two curves, in nats.
double apart(std::vector<double> const& a, std::vector<double> const& b) {
  auto const x = smoothed(a), y = smoothed(b);
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

void report(std::string const& what, std::vector<double> const& narrow, std::vector<double> const& wide) {
  auto const x = smoothed(narrow), y = smoothed(wide);
  MESSAGE(what, ": first ", narrow.front(), " and ", wide.front(), ", last ", x.back(), " and ", y.back(),
          " nat, largest distance ", apart(narrow, wide));
}

}  // namespace

TEST_CASE("300 steps in bfloat16 stay within 0.02 nat of float32") {
  auto const wide = curve<debug>(300), narrow = curve<with(debug, BFloat16{})>(300);
  report("bfloat16 and float32", narrow, wide);
  CHECK(wide.front() - smoothed(wide).back() >= 2);  // there was something to learn
  CHECK(apart(narrow, wide) <= 0.02);
  CHECK(apart(narrow, wide) > 0);
}

TEST_CASE("100 steps in fp8 stay within 0.05 nat of float32") {
  auto const wide = curve<debug>(100), narrow = curve<with(debug, Fp8{})>(100);
  report("fp8 and float32", narrow, wide);
  CHECK(wide.front() - smoothed(wide).back() >= 1);
  CHECK(apart(narrow, wide) <= 0.05);
  CHECK(apart(narrow, wide) > 0);
}
