// SPDX-License-Identifier: Apache-2.0
// Training steps in CUDA graphs. Without a GPU only the plain path runs, and ctest says so.
#include "lierne/train/step_graph.hpp"

#include <doctest/doctest.h>

#include "cuda/rules.hpp"
#include "lierne/nn/model.hpp"
#include "lierne/optim/adopt.hpp"

using namespace lierne;

namespace {

bool no_gpu() {
  if (at::hasCUDA()) return false;
  MESSAGE("not run: no GPU");
  return true;
}

constexpr Decoder spec{.layers = 2,
                       .width = 32,
                       .vocab = 48,
                       .mixer = Attention{.heads = 4, .kv_heads = 2},
                       .channel = SwiGlu{.hidden = 40},
                       .precision = Float64{}};

auto scheduled_rule() {
  return scheduled(cuda_rules::adamw, [](std::int64_t step, std::int64_t) { return 1.0 / static_cast<double>(step + 1); });
}

/// A batch of its own for each step, on the host.
Batch batch_of(std::int64_t step, std::int64_t ignored = 0, std::int64_t length = 16) {
  auto const tokens = (at::arange(4 * length, int64) * 7 + step).remainder(48).view({4, length});
  auto const labels = (tokens * 5 + 1).remainder(48);
  labels.view({-1}).narrow(0, 0, ignored).fill_(ignored_label);
  auto const valid = 4 * length - ignored;
  return {.tokens = tokens, .labels = labels, .valid = valid, .global_valid = valid};
}

/// The same steps without a graph: on the default stream, by kernels that the host queues one by one.
struct Plain {
  Model<spec> model;
  std::vector<Slot> slots;
  std::unique_ptr<CapturableOptimizer> optimizer = bind_capturable(scheduled_rule());

  Plain() {
    model.init({.seed = 3, .device = Device("cuda:0")});
    for (auto* p : model.parameters()) slots.push_back({.name = p->name, .weight = p->owned, .kind = p->kind});
  }
  Tensor step(std::int64_t k, Batch const& batch) {
    auto const device = model.device();
    auto const loss = model.loss(batch.tokens.to(device), batch.labels.to(device), static_cast<double>(batch.valid));
    backward(loss);
    optimizer->step(slots, {.step = k});
    return loss.detach();
  }
};

double distance(Tensor const& a, Tensor const& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item<double>();
}

}  // namespace

TEST_CASE("on the CPU the program that has kernels steps as the bare loop") {
  Model<spec> model, other;
  model.init({.seed = 3});
  other.init({.seed = 3});
  StepGraph graph(model, scheduled_rule());
  auto const optimizer = bind(scheduled_rule());
  std::vector<Slot> slots;
  for (auto* p : other.parameters()) slots.push_back({.name = p->name, .weight = p->owned, .kind = p->kind});
  for (std::int64_t k = 0; k < 20; ++k) {
    auto const batch = batch_of(k);
    auto const loss = other.loss(batch.tokens, batch.labels, static_cast<double>(batch.valid));
    backward(loss);
    optimizer->step(slots, {.step = k});
    CHECK(graph.step(batch, {.step = k}).equal(loss));
  }
  for (std::size_t i = 0; i < slots.size(); ++i) CHECK(graph.slots()[i].weight.equal(slots[i].weight));
}

TEST_CASE("GPU: 20 replays are 20 plain steps") {
  if (no_gpu()) return;
  Plain plain;
  Model<spec> model;
  model.init({.seed = 3, .device = Device("cuda:0")});
  auto const before = model.parameters().front()->owned.detach().clone();
  StepGraph graph(model, scheduled_rule());
  for (std::int64_t k = 0; k < 23; ++k) {
    if (k == 10) {
      // A longer sequence in between, as a sample is: what the replays read stays where it is.
      NoGrad const no_grad;
      auto const longer = batch_of(k, 0, 64);
      CHECK(model.loss(longer.tokens.cuda(), longer.labels.cuda(), 256).isfinite().item<bool>());
    }
    CHECK(graph.captured() == (k > 3));
    auto const expected = plain.step(k, batch_of(k));
    CHECK(distance(graph.step(batch_of(k), {.step = k}), expected) <= 1e-10);
  }
  for (std::size_t i = 0; i < plain.slots.size(); ++i) {
    CAPTURE(plain.slots[i].name);
    CHECK(distance(graph.slots()[i].weight, plain.slots[i].weight) <= 1e-9);
  }
  CHECK_FALSE(at::equal(before, graph.slots()[0].weight));
  CHECK(graph.optimizer().state().at("optim.state.norm.weight.step").item<float>() == 23);
}

TEST_CASE("GPU: replays of batches with other counts are plain steps") {
  if (no_gpu()) return;
  Plain plain;
  Model<spec> model;
  model.init({.seed = 3, .device = Device("cuda:0")});
  StepGraph graph(model, scheduled_rule(), {.warmup = 2, .counts_vary = true});
  for (std::int64_t k = 0; k < 12; ++k) {
    auto const batch = batch_of(k, k * 3 % 17);
    auto const expected = plain.step(k, batch);
    CHECK(distance(graph.step(batch, {.step = k}), expected) <= 1e-10);
  }
  for (std::size_t i = 0; i < plain.slots.size(); ++i) CHECK(distance(graph.slots()[i].weight, plain.slots[i].weight) <= 1e-9);
}

TEST_CASE("GPU: a step in which the host waits is refused before the capture, by the operator's name") {
  if (no_gpu()) return;
  Model<spec> model;
  model.init({.seed = 3, .device = Device("cuda:0")});
  double seen = 0;
  StepGraphParts parts{.loss = [&](Tensor const& tokens, Tensor const& labels, double count) {
                         auto const loss = model.loss(tokens, labels, count);
                         seen = loss.item<double>();
                         return loss;
                       },
                       .optimizer = bind_capturable(scheduled_rule())};
  for (auto* p : model.parameters()) parts.slots.push_back({.name = p->name, .weight = p->owned});
  StepGraph graph(std::move(parts), {.warmup = 2});
  graph.step(batch_of(0), {});
  CHECK_THROWS_WITH_AS(graph.step(batch_of(1), {}), doctest::Contains("found 'aten::item', in which the host waits"), ArgumentError);
  CHECK_FALSE(graph.captured());
  CHECK(seen > 0);
}

TEST_CASE("GPU: a rule that cannot be captured is refused") {
  if (no_gpu()) return;
  Model<spec> model;
  model.init({.seed = 3, .device = Device("cuda:0")});
  CHECK_THROWS_WITH_AS(StepGraph(model, qhadopt()), doctest::Contains("no capturable kernels for the rule"), ArgumentError);
}
