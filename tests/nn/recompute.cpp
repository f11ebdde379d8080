// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/recompute.hpp"

#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "lierne/nn/nn.hpp"
#include "lierne/tensor/counted_memory.hpp"
#include "lierne/tensor/generator.hpp"
#include "lierne/tensor/storage.hpp"

using namespace lierne;

namespace {

constexpr Decoder plain{.layers = 5,
                        .width = 32,
                        .vocab = 48,
                        .mixer = Attention{.heads = 4, .kv_heads = 2},
                        .position = every<3>(NoPosition{}, Rope{}),
                        .channel = SwiGlu{.hidden = 40}};
constexpr auto whole = with(plain, RecomputeBlock{});
constexpr auto second = with(plain, every<2>(RecomputeBlock{}, NoRecompute{}));
constexpr auto selective = with(plain, RecomputeSelective{});
constexpr auto turns = with(plain, every<3>(RecomputeBlock{}, every<2>(RecomputeSelective{}, NoRecompute{})));

struct Batch {
  Tensor tokens, labels;
};
Batch batch_of(std::int64_t rows, std::int64_t length, std::int64_t vocab) {
  auto const ids = at::randint(vocab, {rows, length + 1}, make_generator(5), at::TensorOptions().dtype(int64));
  return {ids.narrow(1, 0, length), ids.narrow(1, 1, length)};
}

using Gradients = std::map<std::string, Tensor>;

/// The loss and the gradients of two micro-batches.
template <auto spec>
std::pair<Tensor, Gradients> step() {
  Model<spec> model;
  model.init({.seed = 3});
  auto const batch = batch_of(4, 12, spec.vocab);
  Tensor sum = at::zeros({});
  for (int micro = 0; micro < 2; ++micro) {
    auto const loss = model.loss(batch.tokens.narrow(0, 2 * micro, 2), batch.labels.narrow(0, 2 * micro, 2), 48);
    backward(loss);
    sum = sum + loss.detach();
  }
  Gradients gradients;
  model.walk([&](std::string const& name, Parameter& p) {
    REQUIRE(p.owned.grad().defined());
    CHECK_FALSE(p.materialised.defined());
    gradients[name] = p.owned.grad();
  });
  return {sum, gradients};
}

template <auto spec>
void equals(std::pair<Tensor, Gradients> const& expected) {
  auto const found = step<spec>();
  CHECK(found.first.equal(expected.first));
  REQUIRE(found.second.size() == expected.second.size());
  for (auto const& [name, gradient] : expected.second) {
    CAPTURE(name);
    CHECK(found.second.at(name).equal(gradient));
  }
}

template <class PrecisionPolicy>
void policies_equal_the_plain_step() {
  constexpr PrecisionPolicy precision{};
  auto const expected = step<with(plain, precision)>();
  CHECK(expected.second.at("layers.0.attention.wq.weight").norm().template item<double>() > 0);
  equals<with(whole, precision)>(expected);
  equals<with(second, precision)>(expected);
  equals<with(selective, precision)>(expected);
  equals<with(turns, precision)>(expected);
  equals<with(plain, precision, RecomputeSelective{.norms = false})>(expected);
  equals<with(plain, precision, RecomputeSelective{.activations = false})>(expected);
}

/// A mixer of the user's own that counts how often it runs, with gradients and without.
struct Counting {
  static constexpr Role role = Role::mixer;
  template <auto block>
  struct Layer {
    Linear mix = make_linear(block.width, block.width, Initial::normal(0.02));
    static inline std::pair<int, int> runs{};
    static void members(auto& self, auto&& visit) { visit("mix", self.mix); }
    Tensor operator()(Tensor const& x) const {
      ++(at::GradMode::is_enabled() ? runs.first : runs.second);
      return mix(x.cumsum(1));
    }
  };
};

struct Recorder : Observer {
  std::vector<std::string> order;
  void activation(std::string const& site, Tensor const& x) override {
    order.push_back(site);
    CHECK(x.isfinite().all().item<bool>());
    CHECK_FALSE(storage_is_free(x));
  }
  void attention(std::string const& site, Tensor const&, Tensor const&, VisibleKeys const&, double) override {
    order.push_back(site + " logits");
  }
};

/// Peak and remaining bytes of a step's forward and backward pass, over what the weights take.
template <auto spec>
std::int64_t peak_of_step() {
  Model<spec> model;
  model.init({.seed = 3});
  auto const batch = batch_of(4, 128, spec.vocab);
  for (auto* p : model.parameters()) p->owned.mutable_grad() = at::zeros_like(p->owned);
  model.loss(batch.tokens, batch.labels, 1);  // makes the table of rotations
  CountedMemory memory;
  backward(model.loss(batch.tokens, batch.labels, 1));
  CHECK(memory.live() == 0);
  return memory.peak();
}

}  // namespace

TEST_CASE("a value that is not kept comes back as it was, and the gradient with it") {
  auto const run = [](bool keeps) {
    auto const x = at::linspace(-2, 2, 60, float64).view({6, 10}).clone().requires_grad_();
    auto const w = at::linspace(-1, 1, 40, float64).view({4, 10}).clone().requires_grad_();
    Recomputed recomputed;
    Sequence const sequence{.recomputed = keeps ? nullptr : &recomputed};
    auto const y = recomputable<true>(sequence, [](Tensor const& t) { return at::silu(t); }, x);
    auto const z = recomputed.finish(at::linear(y, w));
    CHECK(storage_is_free(y) == !keeps);
    backward(z.square().sum());
    CHECK_FALSE(storage_is_free(y));
    CHECK(y.equal(at::silu(x)));
    return std::pair{x.grad(), w.grad()};
  };
  auto const [dx, dw] = run(false);
  auto const [dx_kept, dw_kept] = run(true);
  CHECK(dx.equal(dx_kept));
  CHECK(dw.equal(dw_kept));
}

TEST_CASE("what shares memory with its source or with the output stays") {
  auto const x = at::ones({3, 4}).requires_grad_();
  auto const base = x * 2;
  Recomputed recomputed;
  Sequence const sequence{.recomputed = &recomputed};
  auto const same = recomputable<true>(sequence, [](Tensor const& t) { return t.view({4, 3}); }, base);
  auto const output = base.exp();
  recomputed.note(output, {}, [] { return Tensor(); });
  CHECK(recomputed.finish(output).equal(output));
  CHECK_FALSE(storage_is_free(same));
  CHECK_FALSE(storage_is_free(output));
  // And where the policy does not ask, nothing is noted at all.
  Recomputed idle;
  Sequence const plain_sequence{.recomputed = &idle};
  auto const y = recomputable<false>(plain_sequence, [](Tensor const& t) { return at::silu(t); }, x);
  CHECK(idle.finish(y).is_same(y));
}

TEST_CASE("a second run gives the gradients of the first, of the input and of every weight") {
  auto const x = at::linspace(-2, 2, 60).view({6, 10}), w = at::linspace(-1, 1, 40).view({4, 10}), v = at::ones({4});
  int runs = 0;
  auto const layer = [&](Tensor const& h, TensorList const& weights) {
    ++runs;
    return at::linear(at::silu(h), weights[0]) * weights[1];
  };
  auto const gradients = [&](bool twice) {
    TensorList const leaves{x.clone().requires_grad_(), w.clone().requires_grad_(), v.clone()};  // the last wants none
    TensorList const weights{leaves[1], leaves[2]};
    auto const first = [&] { return layer(leaves[0], weights); };
    backward((twice ? run_and_recompute(leaves[0], weights, first, layer) : first()).square().sum());
    CHECK_FALSE(leaves[2].grad().defined());
    return std::pair{leaves[0].grad(), leaves[1].grad()};
  };
  auto const expected = gradients(false);
  CHECK(runs == 1);
  auto const found = gradients(true);
  CHECK(runs == 3);
  CHECK(found.first.equal(expected.first));
  CHECK(found.second.equal(expected.second));
}

TEST_CASE("every policy has the loss and gradients of the plain step, bit for bit") {
  SUBCASE("float32") { policies_equal_the_plain_step<Float32>(); }
  SUBCASE("float64") { policies_equal_the_plain_step<Float64>(); }
  SUBCASE("bfloat16") { policies_equal_the_plain_step<BFloat16>(); }
}

TEST_CASE("with norms behind the branches and scaled branches as well") {
  constexpr auto with_norms = [] {
    auto spec = with(plain, MuP{.base_width = 16, .base_layers = 2});
    spec.peri_norm = true;
    return spec;
  }();
  auto const expected = step<with_norms>();
  equals<with(with_norms, RecomputeBlock{})>(expected);
  equals<with(with_norms, RecomputeSelective{})>(expected);
}

TEST_CASE("with every kind of channel and norm") {
  constexpr auto norm = LayerNorm{};
  auto const check = [&]<auto channel>() {
    auto const expected = step<with(plain, channel, norm)>();
    equals<with(plain, channel, norm, RecomputeBlock{})>(expected);
    equals<with(plain, channel, norm, RecomputeSelective{})>(expected);
  };
  check.operator()<Glu{.activation = Gelu{}, .hidden = 40}>();
  check.operator()<Mlp{.activation = SquaredRelu{}, .hidden = 40}>();
}

TEST_CASE("the backward pass may be taken twice") {
  Model<turns> model;
  model.init({.seed = 3});
  auto const batch = batch_of(2, 12, turns.vocab);
  auto const loss = model.loss(batch.tokens, batch.labels, 1);
  auto const leaves = model.parameters();
  TensorList owned;
  for (auto* p : leaves) owned.push_back(p->owned);
  auto const once = torch::autograd::grad({loss}, owned, {}, /*retain_graph=*/true);
  auto const again = torch::autograd::grad({loss}, owned, {});
  for (std::size_t i = 0; i < owned.size(); ++i) CHECK(once[i].equal(again[i]));
}

TEST_CASE("a block runs once forward and once more for its gradients, and evaluation runs it once") {
  constexpr auto spec = with(plain, Counting{}, every<2>(RecomputeBlock{}, NoRecompute{}));
  auto& runs = Counting::Layer<block_at<1>(spec)>::runs;
  Model<spec> model;
  model.init({.seed = 3});
  auto const batch = batch_of(2, 12, spec.vocab);
  runs = {};
  auto const loss = model.loss(batch.tokens, batch.labels, 1);
  CHECK(runs == std::pair{0, 2});  // layers 1 and 3
  backward(loss);
  CHECK(runs == std::pair{2, 2});
  NoGrad guard;
  auto const judged = model.loss(batch.tokens, batch.labels, 1);
  CHECK(runs == std::pair{2, 4});
  CHECK(judged.equal(loss));
  CHECK_FALSE(judged.requires_grad());
}

TEST_CASE("an observer sees every value once, while it is there") {
  auto const order = []<auto spec>() {
    Model<spec> model;
    model.init({.seed = 3});
    auto const batch = batch_of(2, 12, spec.vocab);
    Recorder recorder;
    backward(model.loss(batch.tokens, batch.labels, 1, recorder));
    return recorder.order;
  };
  auto const expected = order.operator()<plain>();
  CHECK(expected.size() == 2 + 4 * plain.layers);
  CHECK(order.operator()<whole>() == expected);
  CHECK(order.operator()<selective>() == expected);
  CHECK(order.operator()<turns>() == expected);
}

TEST_CASE("without gradients nothing is kept and nothing freed too early") {
  auto const logits = []<auto spec>() {
    Model<spec> model;
    model.init({.seed = 3});
    auto const batch = batch_of(2, 12, spec.vocab);
    model.forward(batch.tokens);
    NoGrad guard;
    CountedMemory memory;
    auto const result = model.forward(batch.tokens);
    CHECK(memory.live() == result.numel() * 4);
    return result;
  };
  auto const expected = logits.operator()<plain>();
  CHECK(logits.operator()<whole>().equal(expected));
  CHECK(logits.operator()<selective>().equal(expected));
}

TEST_CASE("a model may go before its backward pass") {
  auto const batch = batch_of(2, 12, plain.vocab);
  TensorList owned;
  Tensor loss;
  {
    Model<turns> model;
    model.init({.seed = 3});
    loss = model.loss(batch.tokens, batch.labels, 1);
    for (auto* p : model.parameters()) owned.push_back(p->owned);
  }
  backward(loss);
  for (auto const& weight : owned) CHECK(weight.grad().isfinite().all().item<bool>());
}

TEST_CASE("each policy takes less memory than the one before it") {
  constexpr Decoder base{.layers = 6,
                         .width = 128,
                         .vocab = 64,
                         .mixer = Attention{.heads = 4, .kv_heads = 2},
                         .channel = SwiGlu{.hidden = 384}};
  auto const none = peak_of_step<base>(), some = peak_of_step<with(base, RecomputeSelective{})>(),
             half = peak_of_step<with(base, every<2>(RecomputeBlock{}, NoRecompute{}))>(),
             all = peak_of_step<with(base, RecomputeBlock{})>();
  CHECK(some < none);
  CHECK(half < some);
  CHECK(all < half);
  // A block's stream and products: 7 widths, 2 of keys and 3 hidden; the selective one frees 2 widths and 1 hidden of them.
  CHECK(static_cast<double>(some) <= 0.8 * static_cast<double>(none));
  CHECK(static_cast<double>(all) <= 0.45 * static_cast<double>(none));
  MESSAGE("peak MiB of a step: none ", none / 1048576.0, ", selective ", some / 1048576.0, ", every second block ",
          half / 1048576.0, ", every block ", all / 1048576.0);
}

namespace {

constexpr auto experts = with(plain, every<2>(Moe{.experts = 4, .top_k = 2, .auxiliary = 0.01, .hidden = 24}, SwiGlu{.hidden = 40}));

/// How many tokens each expert of each layer has counted in a step of two micro-batches.
template <auto spec>
std::vector<Tensor> expert_counts() {
  Model<spec> model;
  model.init({.seed = 3});
  auto const batch = batch_of(4, 12, spec.vocab);
  for (int micro = 0; micro < 2; ++micro) {
    backward(model.loss(batch.tokens.narrow(0, 2 * micro, 2), batch.labels.narrow(0, 2 * micro, 2), 48));
  }
  std::vector<Tensor> counts;
  model.walk_buffers([&](std::string const& name, Buffer& buffer) {
    if (name.ends_with("tokens_per_expert")) counts.push_back(buffer.value.clone());
  });
  return counts;
}

}  // namespace

TEST_CASE("experts have the plain step's gradients under every policy, bit for bit") {
  auto const check = []<auto spec>() {
    auto const expected = step<spec>();
    CHECK(expected.second.at("layers.1.moe.experts.w2").norm().template item<double>() > 0);
    equals<with(spec, RecomputeBlock{})>(expected);
    equals<with(spec, RecomputeSelective{})>(expected);
    equals<with(spec, RecomputeSelective{.norms = false})>(expected);
    equals<with(spec, RecomputeSelective{.activations = false})>(expected);
  };
  SUBCASE("float32") { check.operator()<experts>(); }
  SUBCASE("float64") { check.operator()<with(experts, Float64{})>(); }
  SUBCASE("bfloat16") { check.operator()<with(experts, BFloat16{})>(); }
  SUBCASE("scores behind the experts, and none shared") {
    constexpr Moe behind{.experts = 4, .top_k = 2, .shared = 0, .score_before_experts = false, .hidden = 24};
    check.operator()<with(plain, every<2>(behind, SwiGlu{.hidden = 40}), Float64{})>();
  }
}

TEST_CASE("of routed experts the selective policy keeps products alone") {
  constexpr Decoder base{.layers = 4,
                         .width = 128,
                         .vocab = 64,
                         .mixer = Attention{.heads = 4, .kv_heads = 2},
                         .channel = Moe{.experts = 4, .top_k = 2, .shared = 0, .hidden = 256}};
  constexpr RecomputeSelective activations{.norms = false};
  auto const check = [&]<class PrecisionPolicy>(double bound) {
    constexpr auto spec = with(base, PrecisionPolicy{});
    auto const none = peak_of_step<spec>(), some = peak_of_step<with(spec, activations)>();
    MESSAGE(PrecisionPolicy{}.name(), ": peak MiB of a step ", none / 1048576.0, ", selective ", some / 1048576.0);
    CHECK(static_cast<double>(some) <= bound * static_cast<double>(none));
  };
  check.operator()<Float64>(0.8);
  check.operator()<Fp8>(0.85);
  // Blocks of rows on a CPU keep gates and ups alone under every policy; in bfloat16 the router's input is one more value.
  check.operator()<BFloat16>(0.97);
  check.operator()<Float32>(1);
}

TEST_CASE("experts count a token once under every policy") {
  auto const counts = expert_counts<experts>();
  REQUIRE(counts.size() == 2);
  CHECK(counts[0].sum().item<std::int64_t>() == 4 * 12 * 2);
  auto const recomputed = expert_counts<with(experts, RecomputeBlock{})>();
  auto const noted = expert_counts<with(experts, RecomputeSelective{})>();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    CHECK(recomputed[i].equal(counts[i]));
    CHECK(noted[i].equal(counts[i]));
  }
}
