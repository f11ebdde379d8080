// SPDX-License-Identifier: Apache-2.0
// How far the loss curves of narrow precisions are from those of float32: the same model, first weights, batches and rule, on a
// made-up chain of tokens and on text.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>

#include "lierne/data/data.hpp"
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
constexpr auto reader = with(debug, field<"vocab">(4096));
constexpr std::int64_t rows = 8, length = 128;
constexpr int window = 20;  // steps in a point of a curve

/// A chain in which each token has four successors of its own, of unequal weight, and one of eight steps jumps anywhere:
/// there is much to learn, and no batch repeats.
class Chain {
 public:
  Batch next() {
    auto const step = [&](Tensor const& token) {
      auto const pick = at::randint(8, {rows}, generator_, at::TensorOptions().dtype(int64));
      auto const way = at::where(pick < 4, 0, at::where(pick < 6, 1, pick - 4));
      auto const follows = (token * 167 + way * way * 89 + 41).remainder(debug.vocab);
      auto const jump = at::randint(8, {rows}, generator_, at::TensorOptions().dtype(int64)) == 0;
      return at::where(jump, at::randint(debug.vocab, {rows}, generator_, at::TensorOptions().dtype(int64)), follows);
    };
    TensorList tokens{at::randint(debug.vocab, {rows}, generator_, at::TensorOptions().dtype(int64))};
    for (std::int64_t t = 0; t < length; ++t) tokens.push_back(step(tokens.back()));
    auto const ids = at::stack(tokens, 1);
    return {.tokens = ids.narrow(1, 0, length), .labels = ids.narrow(1, 1, length), .valid = rows * length,
            .global_valid = rows * length};
  }

 private:
  Generator generator_ = make_generator(11);
};

struct Curve {
  std::vector<double> losses{};  // of every step
  double held_out = 0;           // a token, after the last step; 0 where nothing is held out
};

template <auto spec>
Curve train(int steps, std::function<Batch()> const& next, std::vector<Batch> const& held_out) {
  Model<spec> model;
  model.init({.seed = 5});
  std::vector<Slot> slots;
  for (auto* p : model.parameters()) slots.push_back({.name = p->name, .weight = p->owned});
  auto const optimizer = bind(scheduled(clip_norm(1.0) | adamw({.rate = 2e-3, .beta2 = 0.95}) | decay(0.1, times_rate),
                                        warmup(20) | cosine_to(0.1)));
  Curve curve;
  for (int k = 0; k < steps; ++k) {
    auto const batch = next();
    auto const loss = model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    backward(loss);
    optimizer->step(slots, {.step = k, .total = steps});
    curve.losses.push_back(loss.template item<double>());
  }
  NoGrad guard;
  double tokens = 0;
  for (auto const& batch : held_out) tokens += static_cast<double>(batch.valid);
  for (auto const& batch : held_out) {
    curve.held_out += model.loss(batch.tokens, batch.labels, tokens).template item<double>();
  }
  return curve;
}

template <auto spec>
Curve on_chain(int steps) {
  Chain chain;
  return train<spec>(steps, [&] { return chain.next(); }, {});
}

template <auto spec>
Curve on_text(int steps) {
  auto const* folder = std::getenv("LIERNE_CORPUS");
  REQUIRE_MESSAGE(folder != nullptr, "LIERNE_CORPUS must name the folder that script/corpus.py has laid");
  auto data = text(folder, LIERNE_GOLDEN "/tokenizer/tokenizer.json", {.validation = 0.02}) | pack(length) | shuffle(42) |
              batch(rows);
  auto const evaluation = data.validation();
  std::vector<Batch> held_out;
  for (std::int64_t i = 0; i < evaluation.size(); ++i) held_out.push_back(evaluation[i]);
  return train<spec>(steps, [&] { return data.next(); }, held_out);
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

/// The largest distance of two curves' windows and of the losses that they end with on what was held out, in nats.
double apart(Curve const& a, Curve const& b) {
  auto const x = smoothed(a.losses), y = smoothed(b.losses);
  double most = std::abs(a.held_out - b.held_out);
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

/// How much there was to learn.
double learnt(Curve const& curve) { return curve.losses.front() - smoothed(curve.losses).back(); }

void report(std::string const& what, Curve const& narrow, Curve const& wide) {
  MESSAGE(what, ": first ", narrow.losses.front(), " and ", wide.losses.front(), ", last ", smoothed(narrow.losses).back(), " and ",
          smoothed(wide.losses).back(), ", held out ", narrow.held_out, " and ", wide.held_out, " nat, largest distance ",
          apart(narrow, wide));
}

}  // namespace

TEST_CASE("300 steps in bfloat16 stay within 0.02 nat of float32") {
  auto const wide = on_chain<debug>(300), narrow = on_chain<with(debug, BFloat16{})>(300);
  report("bfloat16 and float32", narrow, wide);
  CHECK(learnt(wide) >= 2);
  CHECK(apart(narrow, wide) <= 0.02);
  CHECK(apart(narrow, wide) > 0);
}

TEST_CASE("100 steps in fp8 stay within 0.05 nat of float32") {
  auto const wide = on_chain<debug>(100), narrow = on_chain<with(debug, Fp8{})>(100);
  report("fp8 and float32", narrow, wide);
  CHECK(learnt(wide) >= 1);
  CHECK(apart(narrow, wide) <= 0.05);
  CHECK(apart(narrow, wide) > 0);
}

TEST_CASE("300 steps on text in bfloat16 stay within 0.02 nat of float32, in fp8 within 0.05, and so do their held-out losses") {
  auto const wide = on_text<reader>(300);
  CHECK(learnt(wide) >= 2);
  CHECK(wide.losses.front() - wide.held_out >= 2);
  auto const holds = [&](char const* what, Curve const& narrow, double bound) {
    report(what, narrow, wide);
    CHECK(apart(narrow, wide) <= bound);
    CHECK(apart(narrow, wide) > 0);
  };
  holds("text, bfloat16 and float32", on_text<with(reader, BFloat16{})>(300), 0.02);
  holds("text, fp8 and float32", on_text<with(reader, Fp8{})>(300), 0.05);
}
