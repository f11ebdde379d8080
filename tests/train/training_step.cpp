// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/training_step.hpp"

#include "lierne/optim/optim.hpp"
#include "train/small.hpp"

using namespace lierne;

namespace {

constexpr auto exact = with(small::spec, Float64{}, field<"vocab">(40));
constexpr auto exact_experts = with(exact, Moe{.experts = 4, .top_k = 2, .hidden = 16});

/// Rows 0 to 5 of length 8, of which some labels are ignored, all of them in rows 2 and 3.
Batch rows(std::int64_t first, std::int64_t count) {
  auto const all = (at::arange(6 * 9, at::TensorOptions().dtype(int64)) * 17).remainder(40).view({6, 9});
  auto labels = all.narrow(1, 1, 8).clone();
  labels[0].narrow(0, 2, 5).fill_(ignored_label);
  labels.narrow(0, 2, 2).fill_(ignored_label);
  labels[5][0] = ignored_label;
  auto const mine = labels.narrow(0, first, count).contiguous();
  auto const valid = (mine != ignored_label).sum().item<std::int64_t>();
  return {.tokens = all.narrow(0, first, count).narrow(1, 0, 8).contiguous(), .labels = mine, .valid = valid, .global_valid = valid};
}

/// Gives batches of a list, again and again.
struct Listed final : Batches {
  std::vector<Batch> all;
  std::size_t at = 0;
  explicit Listed(std::vector<Batch> batches) : all(std::move(batches)) {}
  Batch next() override { return all[at++ % all.size()]; }
  void shard(Shard) override {}
  Position position() const override { return {}; }
  void seek(Position) override {}
  std::int64_t validation_size() const override { return 0; }
  Batch validation(std::int64_t) const override { return {}; }
  std::int64_t length() const override { return 8; }
  std::int64_t batch_size() const override { return all.front().tokens.size(0); }
  Tokenizer const& tokenizer() const override { throw Error("no text"); }
};

template <auto spec>
struct Run {
  lierne::detail::TrainableModel<Model<spec>> model{Model<spec>{}};
  std::unique_ptr<Optimizer> optimizer;
  Mesh mesh{};
  std::unique_ptr<TrainingStep> step;

  template <class Rule>
  Run(Rule const& rule, std::int64_t micro_batches, double spike = 0) : optimizer(bind(rule)) {
    model.init({.seed = 3}, mesh);
    TrainingParts parts{.model = &model, .optimizer = optimizer.get(), .mesh = &mesh, .parameters = model.parameters()};
    for (auto* p : parts.parameters) parts.slots.push_back({.name = p->name, .weight = p->owned, .kind = p->kind, .shape = p->shape});
    step = std::make_unique<TrainingStep>(std::move(parts), micro_batches, spike);
  }
  std::vector<Tensor> weights() {
    std::vector<Tensor> all;
    for (auto* p : model.parameters()) all.push_back(p->owned.detach().clone());
    return all;
  }
};

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2, .epsilon = 1e-3}) | decay(0.1, times_rate); }

double largest_difference(std::vector<Tensor> const& a, std::vector<Tensor> const& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  return largest;
}

template <auto spec>
void accumulates() {
  Listed whole({rows(0, 6)}), pairs({rows(0, 2), rows(2, 2), rows(4, 2)}), singles({rows(0, 1), rows(1, 1), rows(2, 1), rows(3, 1), rows(4, 1), rows(5, 1)});
  Run<spec> at_once(rule(), 1), in_pairs(rule(), 3), one_by_one(rule(), 6), wrong(rule(), 1);
  auto const start = at_once.weights();
  for (int k = 1; k <= 4; ++k) {
    auto const a = at_once.step->run(whole, k, 4), b = in_pairs.step->run(pairs, k, 4), c = one_by_one.step->run(singles, k, 4);
    CHECK(a.loss == doctest::Approx(b.loss).epsilon(1e-12));
    CHECK(a.loss == doctest::Approx(c.loss).epsilon(1e-12));
    CHECK(a.grad_norm == doctest::Approx(b.grad_norm).epsilon(1e-10));
    CHECK(a.tokens == 26 * k);
    CHECK(b.tokens == a.tokens);
    wrong.step->run(pairs, k, 4);
  }
  CHECK(largest_difference(at_once.weights(), start) > 1e-3);
  CHECK(largest_difference(at_once.weights(), in_pairs.weights()) <= 1e-10);
  CHECK(largest_difference(at_once.weights(), one_by_one.weights()) <= 1e-10);
  CHECK(largest_difference(at_once.weights(), wrong.weights()) > 1e-3);  // a pair a step is something else
}

}  // namespace

TEST_CASE("k micro-batches of b rows are one batch of k b, wherever labels are ignored") {
  SUBCASE("dense") { accumulates<exact>(); }
  SUBCASE("experts") { accumulates<exact_experts>(); }
}

TEST_CASE("a step without a valid label moves nothing and says so") {
  Listed empty({rows(2, 2)}), full({rows(0, 2)});
  Run<exact> run(rule(), 2);
  run.step->run(full, 1, 3);
  auto const before = run.weights();
  auto const state = run.optimizer->state();
  auto const calls = state.at("optim.state.norm.weight.step").item<double>();
  auto const metrics = run.step->run(empty, 2, 3);
  CHECK(metrics.skipped);
  CHECK(std::isnan(metrics.loss));
  CHECK(metrics.tokens == run.step->tokens);
  CHECK(metrics.rate == 1e-2);
  CHECK(largest_difference(run.weights(), before) == 0);
  CHECK(run.optimizer->state().at("optim.state.norm.weight.step").item<double>() == calls);
  CHECK_FALSE(run.step->run(full, 3, 3).skipped);
}

TEST_CASE("a spike is left out: weights and state stay, gradients are gone, and the next step is an ordinary one") {
  Listed batches({rows(0, 2)});
  Run<exact> run(adamw({.rate = 1e-4}), 1, 3);
  for (int k = 1; k <= 20; ++k) CHECK_FALSE(run.step->run(batches, k, 30).skipped);
  auto const before = run.weights();
  auto const calls = run.optimizer->state().at("optim.state.norm.weight.step").item<double>();
  auto const usual = run.step->guard().median();
  auto* const output = run.model.parameters().back();
  REQUIRE(output->name == "output.weight");
  {
    NoGrad const no_grad;
    output->owned.mul_(60);
  }
  auto const spike = run.step->run(batches, 21, 30);
  CHECK(spike.skipped);
  CHECK(spike.grad_norm > 3 * usual);
  CHECK(run.optimizer->state().at("optim.state.norm.weight.step").item<double>() == calls);
  for (auto* p : run.model.parameters()) CHECK_FALSE(p->owned.grad().defined());
  {
    NoGrad const no_grad;
    output->owned.div_(60);
  }
  CHECK(largest_difference(run.weights(), before) <= 1e-15);
  CHECK_FALSE(run.step->run(batches, 22, 30).skipped);
}

TEST_CASE("what is not finite ends the run with nothing moved, and is named") {
  Listed batches({rows(0, 2)});
  Run<exact> run(rule(), 1);
  auto const spoil = [&](double value) {
    NoGrad const no_grad;
    for (auto* p : run.model.parameters()) {
      if (p->name == "layers.0.attention.wv.weight") p->owned[0][0] = value;
    }
  };
  spoil(std::nan(""));
  CHECK_THROWS_WITH_AS(run.step->run(batches, 7, 9), doctest::Contains("the loss of step 7 is nan; the first tensor that is not finite: "
                                                                     "weight 'layers.0.attention.wv.weight'"), NumericError);
  spoil(0.1);
  for (auto* p : run.model.parameters()) p->owned.mutable_grad().reset();
  auto const before = run.weights();
  // A loss that is finite, with a gradient that is not.
  for (auto* p : run.model.parameters()) {
    if (p->name != "norm.weight") continue;
    auto bad = at::zeros_like(p->owned);
    bad[1] = std::nan("");
    p->owned.mutable_grad() = bad;  // the step's own adds to it
  }
  CHECK_THROWS_WITH_AS(run.step->run(batches, 8, 9), doctest::Contains("the gradient norm of step 8 is nan; the first tensor that is not "
                                                                     "finite: gradient of 'norm.weight'"), NumericError);
  CHECK(largest_difference(run.weights(), before) == 0);
}

TEST_CASE("fewer than one micro-batch is refused") {
  CHECK_THROWS_WITH_AS((Run<exact>(rule(), 0)), doctest::Contains("accumulate: expected 1 micro-batch a step or more, found 0"), ArgumentError);
}
