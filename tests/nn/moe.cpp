// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/moe.hpp"

#include "lierne/nn/model.hpp"
#include "lierne/spec/with.hpp"
#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr int width = 8, hidden = 12;
constexpr Decoder base{.layers = 2, .width = width, .vocab = 16, .mixer = Attention{.heads = 2}};

template <Moe moe>
using Layer = MoeLayer<block_at<0>(with(base, moe))>;

constexpr Moe top1{.experts = 4, .hidden = hidden};
constexpr Moe top2{.experts = 4, .top_k = 2, .score_before_experts = false, .hidden = hidden};
constexpr Moe softmax2{.experts = 5, .top_k = 2, .shared = 2, .score = Score::softmax, .route_norm = true, .route_scale = 2, .hidden = hidden};
constexpr Moe unshared{.experts = 3, .top_k = 2, .shared = 0, .balance = 0, .hidden = hidden};

/// A layer with values, its buffers too, and its leaves by name.
template <Moe moe>
struct Ready {
  Layer<moe> layer = Layer<moe>::make(Initial::normal(0.1));
  std::map<std::string, Tensor> leaves;

  explicit Ready(Dtype dtype, Dtype compute) {
    leaves = alone::ready(layer, dtype);
    walk(layer, [&](std::string const&, Parameter& p) {
      if (p.read_as == ReadAs::compute) p.materialised = p.owned.to(compute);
    });
    walk_buffers(layer, [&](std::string const& name, Buffer& buffer) {
      buffer.name = name;
      auto const type = buffer.dtype == at::ScalarType::Undefined ? dtype : buffer.dtype;
      buffer.value = name == "expert_bias" ? alone::normal(buffer.shape, 50, 0.2).to(type) : at::zeros(buffer.shape, type);
    });
  }
  explicit Ready(Dtype dtype = float64) : Ready(dtype, dtype) {}
  Tensor operator()(Tensor const& x, Sequence const& sequence = {}) const { return layer(x, sequence); }
  Tensor counts() { return layer.tokens_per_expert.value; }
};

/// The mixture token by token in plain operators: no sort, no groups.
template <Moe moe>
Tensor naive(Ready<moe>& ready, Tensor const& x) {
  auto const leaf = [&](std::string const& name) { return ready.leaves.at(name).detach(); };
  auto const swiglu = [](Tensor const& t, Tensor const& w1, Tensor const& w2, Tensor const& w3) {
    return at::mv(w2, at::silu(at::mv(w1, t)) * at::mv(w3, t));
  };
  std::vector<Tensor> rows;
  for (auto const& t : x.detach().flatten(0, 1).unbind(0)) {
    auto const z = at::mv(leaf("router.gate.weight"), t);
    auto const s = moe.score == Score::sigmoid ? at::sigmoid(z) : at::softmax(z, 0);
    auto pick = s;
    if constexpr (moe.balance > 0) pick = s + ready.layer.expert_bias.value;
    auto const chosen = std::get<1>(at::topk(pick, moe.top_k));
    auto g = s.index_select(0, chosen);
    if (moe.route_norm) g = g / g.sum();
    g = g * moe.route_scale;
    auto y = at::zeros_like(t);
    if constexpr (moe.shared > 0) {
      y = swiglu(t, leaf("shared_experts.w1.weight"), leaf("shared_experts.w2.weight"), leaf("shared_experts.w3.weight"));
    }
    for (int k = 0; k < moe.top_k; ++k) {
      auto const e = chosen[k].template item<std::int64_t>();
      auto const w1 = leaf("experts.w1")[e], w2 = leaf("experts.w2")[e], w3 = leaf("experts.w3")[e];
      y = y + (moe.score_before_experts ? swiglu(t * g[k], w1, w2, w3) : swiglu(t, w1, w2, w3) * g[k]);
    }
    rows.push_back(y);
  }
  return at::stack(rows).view_as(x);
}

template <Moe moe>
void equals_the_loop() {
  auto const x = alone::normal({2, 9, width}, 1);
  Ready<moe> exact(float64), single(float32);
  auto const expected = naive(exact, x);
  CHECK(alone::relative(exact(x), expected) <= 1e-14);
  CHECK(alone::relative(single(x.to(float32)), expected) <= 1e-6);
}

template <Moe moe>
void has_right_gradients() {
  auto const by = alone::normal({2, 6, width}, 2);
  Ready<moe> ready(float64);
  ready.leaves["x"] = alone::normal({2, 6, width}, 1).requires_grad_();
  alone::check_gradients([&] { return (ready(ready.leaves["x"]) * by).sum(); }, ready.leaves);

  // The fused way in float32 against the same in float64.
  Ready<moe> single(float32);
  single.leaves["x"] = alone::normal({2, 6, width}, 1).to(float32).requires_grad_();
  backward((single(single.leaves["x"]) * by.to(float32)).sum());
  CHECK(alone::worst_gradient(single.leaves, ready.leaves) <= 3e-6);
}

}  // namespace

static_assert(std::is_same_v<LayerOf<Moe>::layer<block_at<0>(with(base, top1))>, Layer<top1>>);
static_assert(Layer<softmax2>::hidden == 12);

TEST_CASE("the layer equals a loop over tokens") {
  equals_the_loop<top1>();
  equals_the_loop<top2>();
  equals_the_loop<softmax2>();
  equals_the_loop<unshared>();
}

TEST_CASE("all its gradients are those of finite differences, the router's too") {
  has_right_gradients<top1>();
  has_right_gradients<top2>();
  has_right_gradients<softmax2>();
  has_right_gradients<unshared>();
}

TEST_CASE("in bfloat16 the error is at most a quarter larger than that of plain operators") {
  // From the same rounded weights and input; router, scores and their use in float32 in both.
  auto const x = alone::normal({4, 16, width}, 1).to(bfloat16);
  Ready<top1> exact(float64), narrow(float32, bfloat16);
  for (auto* ready : {&exact.leaves, &narrow.leaves}) {
    NoGrad const guard;
    for (auto& [name, leaf] : *ready) {
      if (name != "router.gate.weight") leaf.copy_(leaf.to(bfloat16));
    }
  }
  walk(narrow.layer, [&](std::string const&, Parameter& p) {
    if (p.read_as == ReadAs::compute) p.materialised = p.owned.to(bfloat16);
  });
  walk_buffers(exact.layer, [&](std::string const&, Buffer& b) { if (b.persistent) b.value.copy_(b.value.to(float32)); });
  auto const truth = naive(exact, x.to(float64));
  auto const ours = narrow(x);
  CHECK((ours.scalar_type() == bfloat16));

  auto const wide = x.flatten(0, 1);
  auto const routing = route(at::linear(wide.to(float32), narrow.leaves.at("router.gate.weight")),
                             narrow.layer.expert_bias.value, top1);
  auto const leaf = [&](std::string const& name) { return narrow.leaves.at(name).to(bfloat16); };
  auto const dense = [](Tensor const& t, Tensor const& w1, Tensor const& w2, Tensor const& w3) {
    return at::linear(at::silu(at::linear(t, w1)) * at::linear(t, w3), w2);
  };
  auto peer = dense(wide, leaf("shared_experts.w1.weight"), leaf("shared_experts.w2.weight"), leaf("shared_experts.w3.weight"));
  for (int e = 0; e < top1.experts; ++e) {
    auto const mine = (routing.choices.squeeze(1) == e).nonzero().squeeze(1);
    auto const in = (wide.index_select(0, mine).to(float32) * routing.scores.index_select(0, mine)).to(bfloat16);
    auto const out = dense(in, leaf("experts.w1")[e], leaf("experts.w2")[e], leaf("experts.w3")[e]);
    peer = peer.index_add(0, mine, out);
  }
  CHECK(alone::relative(ours, truth) <= 1.25 * alone::relative(peer.view_as(x), truth));
  CHECK(alone::relative(ours, truth) >= 1e-4);  // it is bfloat16 that is measured
}

TEST_CASE("tokens are counted where the sequence says so") {
  Ready<top2> ready(float32);
  auto const x = alone::normal({2, 9, width}, 1).to(float32);
  ready(x);
  CHECK(ready.counts().sum().item<std::int64_t>() == 0);
  ready(x, {.counts = true});
  CHECK(ready.counts().sum().item<std::int64_t>() == 2 * 9 * 2);
  auto const once = ready.counts().clone();
  ready(x, {.counts = true});
  CHECK(ready.counts().equal(2 * once));
}

TEST_CASE("forced balance sends every expert the same") {
  constexpr Moe forced{.experts = 4, .top_k = 2, .forced_balance = true, .hidden = hidden};
  Ready<forced> ready(float32);
  ready(alone::normal({2, 8, width}, 1).to(float32), {.counts = true});
  CHECK(ready.counts().equal(at::full({4}, 8, at::TensorOptions().dtype(int64))));
}

TEST_CASE("parameters and buffers have the original's names and order") {
  auto const names = [](auto layer) {
    std::vector<std::string> all;
    walk(layer, [&](std::string const& name, Parameter&) { all.push_back(name); });
    walk_buffers(layer, [&](std::string const& name, Buffer&) { all.push_back(name); });
    return all;
  };
  CHECK(names(Layer<top1>::make(Initial::normal(0.1))) ==
        std::vector<std::string>{"experts.w1", "experts.w2", "experts.w3", "router.gate.weight", "shared_experts.w1.weight",
                                 "shared_experts.w2.weight", "shared_experts.w3.weight", "expert_bias", "tokens_per_expert"});
  CHECK(names(Layer<unshared>::make(Initial::normal(0.1))) ==
        std::vector<std::string>{"experts.w1", "experts.w2", "experts.w3", "router.gate.weight", "tokens_per_expert"});
}

TEST_CASE("a model counts in training passes alone, and a step ends the count") {
  constexpr auto spec = with(base, every<2>(top1, SwiGlu{.hidden = 16}));
  Model<spec> model;
  model.init({.seed = 1});
  auto const tokens = at::randint(16, {2, 8}, at::TensorOptions().dtype(int64));
  auto const counted = [&] {
    std::int64_t sum = 0;
    model.walk_buffers([&](std::string const& name, Buffer& b) {
      if (name == "layers.1.moe.tokens_per_expert") sum = b.value.sum().template item<std::int64_t>();
    });
    return sum;
  };
  {
    NoGrad const validation;
    model.loss(tokens, tokens, 16);
    model.forward(tokens);
  }
  CHECK(counted() == 0);
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) backward(model.loss(tokens, tokens, 32));
  CHECK(counted() == 32);
  auto const loads = model.update_expert_bias();
  REQUIRE(loads.size() == 1);
  CHECK(loads[0].site == "layers.1.moe");
  CHECK(loads[0].largest >= 1);
  CHECK(counted() == 0);
  model.walk_buffers([&](std::string const&, Buffer& b) {
    if (b.persistent) CHECK(b.value.abs().max().template item<double>() > 0);
  });
  // No parameter is a buffer: an optimizer cannot see the bias.
  for (auto const* p : model.parameters()) CHECK(p->name.find("expert_bias") == std::string::npos);
}

TEST_CASE("counting before init is refused") {
  auto layer = Layer<top1>::make(Initial::normal(0.1));
  alone::ready(layer, float32);
  layer.expert_bias.value = at::zeros({4});
  CHECK_THROWS_WITH_AS(layer(at::zeros({1, 2, width}), {.counts = true}),
                       "moe: counts tokens before init (call model.init(...) first)", ArgumentError);
}
