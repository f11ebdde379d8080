// SPDX-License-Identifier: Apache-2.0
// Steps without a graph, and those of a recorder on the host; tests/cuda/step_graph.cpp captures them on a GPU.
#include "lierne/train/step_graph.hpp"

#include <filesystem>
#include <utility>

#include "lierne/optim/optim.hpp"
#include "lierne/parallel/parallelise.hpp"
#include "lierne/train/trainer.hpp"
#include "optim/kernel/on_host.hpp"
#include "processes.hpp"
#include "train/small.hpp"

using namespace lierne;

static_assert(!std::is_copy_constructible_v<StepGraph>);

namespace {

auto rule() { return clip_norm(1.0) | adamw({.rate = 1e-2, .beta2 = 0.95}) | decay(0.1, times_rate); }
auto scheduled_rule() { return scheduled(rule(), warmup(3) | cosine_to(0.1)); }

template <class M>
std::vector<Slot> slots_of(M& model) {
  std::vector<Slot> slots;
  model.walk([&](std::string const& name, Parameter& p) { slots.push_back({.name = name, .weight = p.owned}); });
  return slots;
}

bool same(std::span<Slot const> a, std::span<Slot const> b) {
  if (a.size() != b.size() || a.empty()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || !a[i].weight.equal(b[i].weight)) return false;
  }
  return true;
}

constexpr Decoder exact{.layers = 2,
                        .width = 16,
                        .vocab = 24,
                        .mixer = Attention{.heads = 4, .kv_heads = 2},
                        .channel = SwiGlu{.hidden = 20},
                        .precision = Float64{}};

/// Terms of its loss are attached where what multiplies the loss does not reach them.
constexpr auto mixed = with(exact, Moe{.experts = 4, .top_k = 2, .auxiliary = 0.05, .hidden = 16});

/// A batch of its own for each step; every label counts but for the first `ignored`.
Batch batch_of(std::int64_t step, std::int64_t ignored = 0, std::int64_t rows = 3) {
  auto const tokens = (at::arange(rows * 8, int64) * 7 + step).remainder(24).view({rows, 8});
  auto const labels = (tokens * 5 + 1).remainder(24);
  labels.view({-1}).narrow(0, 0, ignored).fill_(ignored_label);
  auto const valid = rows * 8 - ignored;
  return {.tokens = tokens, .labels = labels, .valid = valid, .global_valid = valid};
}

/// Repeats on the host. What is recorded is not run at first, as on a GPU.
struct HostRecorder final : Recorder {
  struct Calls {
    std::string order;
  };
  explicit HostRecorder(std::shared_ptr<Calls> given) : calls(std::move(given)) {}

  void run(Work const& work) override { work(); }
  void run_without_waiting(Work const& work) override {
    calls->order += 'w';
    work();
  }
  void record(Work const& work) override {
    calls->order += 'c';
    recorded = work;
  }
  void repeat() override {
    calls->order += 'r';
    lierne::test::capturing_on_host = true;  // the optimizer may not set the rate: a replay would repeat it
    recorded();
    lierne::test::capturing_on_host = false;
  }

  std::shared_ptr<Calls> calls;
  Work recorded;
};

std::unique_ptr<CapturableOptimizer> capturable() {
  using Rule = decltype(rule());
  static CudaRule const kernels = lierne::test::host_rule<Rule>();
  auto const passes = [] { return std::unique_ptr<Passes const>(new PassesOf<Rule>(rule())); };
  return std::make_unique<CapturableOptimizer>(passes(), std::make_unique<RuleOptimizer>(passes(), Schedule{}, Path::loop),
                                               scheduled_rule().schedule, kernels, [](Device) -> void* { return nullptr; });
}

/// A model with a graph on the host, and the same stepped by hand.
template <auto spec = exact>
struct Pair {
  Model<spec> model, other;
  std::shared_ptr<HostRecorder::Calls> calls = std::make_shared<HostRecorder::Calls>();
  std::unique_ptr<CapturableOptimizer> direct = capturable();
  std::vector<Slot> slots;
  std::unique_ptr<StepGraph> graph;

  explicit Pair(StepGraphSettings settings = {}) {
    model.init({.seed = 4});
    other.init({.seed = 4});
    slots = slots_of(other);
    StepGraphParts parts{.loss = [this](Tensor const& tokens, Tensor const& labels,
                                        double count) { return model.loss(tokens, labels, count); },
                         .optimizer = capturable(),
                         .slots = slots_of(model),
                         .recorder = std::make_unique<HostRecorder>(calls)};
    graph = std::make_unique<StepGraph>(std::move(parts), settings);
  }
  double step(std::int64_t k, Batch const& batch) { return graph->step(batch, {.step = k, .total = 20}).item<double>(); }
  double plain(std::int64_t k, Batch const& batch) {
    auto const loss = other.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    backward(loss);
    direct->step(slots, {.step = k, .total = 20});
    return loss.template item<double>();
  }
};

/// Makes and steps a graph of a bare weight w with the loss Σ w².
struct Bare {
  Tensor weight = at::ones({2}).requires_grad_();
  StepGraphParts parts() {
    return {.loss = [this](Tensor const&, Tensor const&, double count) { return weight.square().sum() / count; },
            .optimizer = bind(sgd({.rate = 0.1})),
            .slots = {{.name = "w", .weight = weight}}};
  }
};

}  // namespace

TEST_CASE("without a graph 20 steps are those of the bare loop, bit for bit") {
  Model<small::spec> model, other;
  model.init({.seed = 5});
  other.init({.seed = 5});
  auto const slots = slots_of(other);
  auto data = small::data(), same_data = small::data();
  StepGraph graph(model, scheduled_rule());
  auto const optimizer = bind(scheduled_rule());
  double first = 0, last = 0;
  for (int k = 0; k < 20; ++k) {
    auto const batch = same_data.next();
    auto const loss = other.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
    backward(loss);
    optimizer->step(slots, {.step = k, .total = 20});
    auto const found = graph.step(data.next(), {.step = k, .total = 20});
    CHECK(found.equal(loss));
    CHECK_FALSE(found.requires_grad());
    (k == 0 ? first : last) = found.item<double>();
  }
  CHECK(same(graph.slots(), slots));
  CHECK(last < first - 1);
  CHECK_FALSE(graph.captured());
  for (auto const& [key, tensor] : optimizer->state()) CHECK(graph.optimizer().state().at(key).equal(tensor));
}

TEST_CASE("recorded on the host 20 steps are those of the bare loop, bit for bit, after three plain ones") {
  Pair<> pair;
  for (std::int64_t k = 0; k < 20; ++k) {
    CHECK(pair.step(k, batch_of(k)) == pair.plain(k, batch_of(k)));
    CHECK(pair.graph->captured() == (k >= 3));
  }
  CHECK(same(pair.graph->slots(), pair.slots));
  CHECK(pair.calls->order == "wc" + std::string(17, 'r'));
  CHECK(pair.graph->optimizer().state().at("optim.state.norm.weight.step").item<float>() == 20);
}

TEST_CASE_TEMPLATE("a recording goes with batches of other counts", P, Pair<exact>, Pair<mixed>) {
  P pair({.warmup = 2, .counts_vary = true});
  for (std::int64_t k = 0; k < 12; ++k) {
    auto const batch = batch_of(k, k * 3 % 17);
    CHECK(pair.step(k, batch) == doctest::Approx(pair.plain(k, batch)).epsilon(1e-12));
  }
  auto const found = pair.graph->slots();
  for (std::size_t i = 0; i < pair.slots.size(); ++i) {
    auto const away = (found[i].weight - pair.slots[i].weight).abs().max().template item<double>();
    CHECK(away <= 1e-11);
  }
  CHECK(pair.calls->order == "wc" + std::string(10, 'r'));
}

TEST_CASE("a loaded state and a moved weight are recorded anew, and the run goes on bit for bit") {
  Pair<> pair({.warmup = 2});
  std::int64_t k = 0;
  auto const both = [&](int steps) {
    for (int i = 0; i < steps; ++i, ++k) CHECK(pair.step(k, batch_of(k)) == pair.plain(k, batch_of(k)));
  };
  both(4);
  pair.graph->optimizer().load_state(std::map(pair.graph->optimizer().state()));
  CHECK_FALSE(pair.graph->captured());
  both(1);
  // Once more between warm-up steps: they begin anew.
  pair.graph->optimizer().load_state(std::map(pair.graph->optimizer().state()));
  both(3);
  pair.model.parameters().front()->owned.set_data(pair.model.parameters().front()->owned.detach().clone());
  both(3);
  CHECK(pair.calls->order == "wcrr" "wcr" "wcr");
  CHECK(same(pair.graph->slots(), pair.slots));
}

TEST_CASE("experts: counts go on through steps and biases move behind them, as before the update") {
  auto const first_loss_and_bias = [](auto&& step_of) {
    Model<small::experts> model;
    model.init({.seed = 5});
    auto data = small::data();
    auto const step = step_of(model);
    double loss = 0;
    for (int k = 0; k < 4; ++k) loss = step(k, data.next());
    Tensor bias;
    model.walk_buffers([&](std::string const& name, Buffer& buffer) {
      if (name.ends_with("expert_bias")) bias = buffer.value;
    });
    return std::pair{loss, bias};
  };
  auto const bare = first_loss_and_bias([](auto& model) {
    std::shared_ptr<Optimizer> const optimizer = bind(scheduled_rule());
    return [&model, optimizer](int k, Batch const& batch) {
      auto const loss = model.loss(batch.tokens, batch.labels, static_cast<double>(batch.global_valid));
      backward(loss);
      model.update_expert_bias();
      optimizer->step(slots_of(model), {.step = k, .total = 4});
      return loss.template item<double>();
    };
  });
  auto const stepped = first_loss_and_bias([](auto& model) {
    auto const graph = std::make_shared<StepGraph>(model, scheduled_rule());
    return [&model, graph](int k, Batch const& batch) {
      auto const loss = graph->step(batch, {.step = k, .total = 4});
      CHECK(model.update_expert_bias().at(0).largest >= 1);
      return loss.template item<double>();
    };
  });
  CHECK(stepped.first == bare.first);
  CHECK(stepped.second.equal(bare.second));
  CHECK_FALSE(stepped.second.eq(0).all().item<bool>());
}

TEST_CASE("for autograd a replay is a write to the weights") {
  Pair<> pair({.warmup = 2});
  for (std::int64_t k = 0; k < 3; ++k) pair.step(k, batch_of(k));
  auto const version = pair.graph->slots()[0].weight._version();
  pair.step(3, batch_of(3));
  CHECK(pair.graph->slots()[0].weight._version() > version);
}

TEST_CASE("evaluation weights judge between steps, and no step is taken on them") {
  Model<exact> model;
  model.init({.seed = 4});
  StepGraph graph(model, rule() | ema(0.5));
  for (std::int64_t k = 0; k < 3; ++k) graph.step(batch_of(k), {.step = k});
  {
    EvaluationWeights const judged(graph.optimizer(), graph.slots());
    CHECK_THROWS_WITH_AS(graph.step(batch_of(3), {}), doctest::Contains("expected the trained weights in place"), ArgumentError);
  }
  CHECK_NOTHROW(graph.step(batch_of(3), {}));
}

TEST_CASE("what a graph cannot hold is refused before anything runs, without a graph as well") {
  Model<exact> model;
  CHECK_THROWS_WITH_AS(StepGraph(model, rule()), doctest::Contains("expected an initialised model"), ArgumentError);
  model.init({.seed = 4});
  CHECK_THROWS_WITH_AS(StepGraph(model, rule(), {.warmup = 1}), doctest::Contains("expected 2 warm-up steps or more, found 1"),
                       ArgumentError);
  StepGraph graph(model, rule());
  CHECK_THROWS_WITH_AS(graph.step(batch_of(0, 24), {}), doctest::Contains("a batch with a label, found none"), NumericError);
  graph.step(batch_of(0), {});
  CHECK_THROWS_WITH_AS(graph.step(batch_of(1, 0, 4), {}),
                       doctest::Contains("expected tokens and labels of shape [3, 8], found [4, 8] and [4, 8]"), ShapeError);
  CHECK_THROWS_WITH_AS(graph.step(batch_of(1, 5), {}),
                       "StepGraph: expected 24 labels, as in the first batch, found 19 (set .counts_vary: the count becomes a "
                       "number on the device)", ArgumentError);
  auto part = batch_of(1);
  part.global_valid = 48;
  CHECK_THROWS_WITH_AS(graph.step(part, {}), doctest::Contains("in one batch, found 24 of 48"), ArgumentError);
  CHECK_THROWS_WITH_AS(graph.step(batch_of(1), {.grad_norm = 1.0}), doctest::Contains("other numbers of the host"), ArgumentError);
  backward(model.loss(batch_of(1).tokens, batch_of(1).labels, 24));
  CHECK_THROWS_WITH_AS(graph.step(batch_of(1), {}),
                       doctest::Contains("'tok_embeddings.weight': expected no gradient before the step"), ArgumentError);
}

TEST_CASE("parts that are no step are refused") {
  Bare bare;
  auto const refused = [](StepGraphParts parts, char const* why) {
    CHECK_THROWS_WITH_AS(StepGraph{std::move(parts)}, doctest::Contains(why), ArgumentError);
  };
  CHECK_NOTHROW(StepGraph{bare.parts()});
  auto parts = bare.parts();
  parts.slots.clear();
  refused(std::move(parts), "expected a loss, an optimizer and slots, found no slot");
  parts = bare.parts();
  parts.slots[0].shape = {4};
  refused(std::move(parts), "'w': expected a whole parameter, found [2] of [4]");
  parts = bare.parts();
  parts.slots.push_back({.name = "v", .weight = at::ones({2}, at::kMeta)});
  refused(std::move(parts), "'v': expected a weight on cpu, found one on meta");
  parts = bare.parts();
  parts.recorder = std::make_unique<HostRecorder>(std::make_shared<HostRecorder::Calls>());
  refused(std::move(parts), "expected an optimizer that can be captured, found 'sgd");
}

TEST_CASE("recorded steps refuse graphs from outside, vectors of losses, and leave no gradients of a failed step") {
  Pair<> pair({.warmup = 2});
  for (std::int64_t k = 0; k < 2; ++k) pair.step(k, batch_of(k));
  {
    auto const held = pair.model.loss(batch_of(2).tokens, batch_of(2).labels, 24);
    CHECK_THROWS_WITH_AS(pair.step(2, batch_of(2)), doctest::Contains("expected no recorded graph at the capture"), ArgumentError);
    CHECK(pair.calls->order == "w");
  }
  CHECK_NOTHROW(pair.step(2, batch_of(2)));

  bool fails = true;
  Pair<> other;
  StepGraphParts parts{.loss = [&](Tensor const& tokens, Tensor const& labels, double count) {
                         auto const loss = other.model.loss(tokens, labels, count);
                         return fails ? loss.expand({2}) : loss;
                       },
                       .optimizer = capturable(),
                       .slots = slots_of(other.model),
                       .recorder = std::make_unique<HostRecorder>(other.calls)};
  StepGraph graph(std::move(parts));
  CHECK_THROWS_WITH_AS(graph.step(batch_of(0), {}), "StepGraph: expected a scalar loss, found [2]", ShapeError);
  fails = false;
  CHECK(graph.step(batch_of(0), {.total = 20}).item<double>() == other.plain(0, batch_of(0)));
}

TEST_CASE("rank: steps of several processes are refused" * doctest::skip()) {
  constexpr Plan plan{.replicate = 2};
  auto const mesh = join(plan, Launch::from_environment());
  Model<exact, plan> model;
  parallelise(model, mesh);
  model.init({.seed = 4}, mesh);
  CHECK_THROWS_WITH_AS(StepGraph(model, rule()), doctest::Contains("StepGraph: expected one process, found 2"), ArgumentError);
}

TEST_CASE("a launch of several processes is refused") { processes::run("rank: steps of several processes are refused", 2); }

TEST_CASE("a trainer's steps in a graph have the bits of its plain ones, without a gradient norm") {
  auto const options = [](std::string out = {}) {
    return Options{.out = std::move(out), .steps = 8, .validate_every = 4, .sample = 0, .seed = 5, .quiet = true};
  };
  auto const folder = std::filesystem::temp_directory_path() / "lierne_step_graph_trainer";
  std::filesystem::remove_all(folder);
  auto data = small::data(), same_data = small::data(), again = small::data();
  Trainer plain{Model<small::experts>{}, scheduled_rule(), options()};
  auto const expected = plain.fit(data);
  auto given = options(folder.string());
  given.checkpoint_every = 4;
  Trainer graphed{Model<small::experts>{}, in_graph(scheduled_rule(), {.warmup = 2}), given};
  std::vector<StepMetrics> found;
  graphed.observe([&](StepMetrics const& m) { found.push_back(m); });
  auto const result = graphed.fit(same_data);
  CHECK(result.loss == expected.loss);
  CHECK(result.validation_loss == expected.validation_loss);
  REQUIRE(found.size() == 8);
  CHECK(found[0].rate == doctest::Approx(1e-2 / 3));
  for (auto const& m : found) CHECK(std::isnan(m.grad_norm));
  auto const a = plain.model().parameters(), b = graphed.model().parameters();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i]->owned.equal(b[i]->owned));

  std::filesystem::remove_all(folder / "checkpoints/step-000000008");
  given.resume = true;
  Trainer resumed{Model<small::experts>{}, in_graph(scheduled_rule()), given};
  CHECK(resumed.fit(again).validation_loss == expected.validation_loss);
}

TEST_CASE("what a trainer's step in a graph cannot do is refused") {
  auto const refused = [](Options const& given, char const* words) {
    auto data = small::data();
    Trainer trainer{Model<small::spec>{}, in_graph(rule()), given};
    CHECK_THROWS_WITH_AS(trainer.fit(data), doctest::Contains(words), ArgumentError);
  };
  refused({.steps = 2, .quiet = true, .accumulate = 2}, "in_graph: expected accumulate 1, found 2");
  refused({.steps = 2, .quiet = true, .spike = 4}, "in_graph: expected no spike guard, found one of 4 medians");
  auto data = small::data();
  Trainer probed{Model<small::spec>{} | probes<ActivationRms>({.every = 3}), in_graph(rule()), {.steps = 2, .quiet = true}};
  CHECK_THROWS_WITH_AS(probed.fit(data), doctest::Contains("in_graph: expected a model without probes"), ArgumentError);
#ifndef LIERNE_CUDA
  CHECK_THROWS_WITH_AS((Trainer{Model<small::spec>{}, in_graph(rule()), {.device = "cuda"}}),
                       doctest::Contains("'cuda' asked of a program built without CUDA"), ArgumentError);
#endif
}
