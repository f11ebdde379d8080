// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/attention.hpp"

#include <cmath>
#include <vector>

#include "nn/alone.hpp"

using namespace lierne;

namespace {

template <int heads, int keys, class Position = Rope>
constexpr auto record = block_at<0>(Decoder{.layers = 1,
                                            .width = 16,
                                            .vocab = 8,
                                            .mixer = Attention{.heads = heads, .kv_heads = keys},
                                            .position = Position{}});

Tensor product(Tensor const& x_LD, Tensor const& weight) {
  auto out = at::zeros({x_LD.size(0), weight.size(0)}, float64);
  auto const x = x_LD.accessor<double, 2>(), w = weight.accessor<double, 2>();
  for (std::int64_t l = 0; l < x.size(0); ++l) {
    for (std::int64_t o = 0; o < w.size(0); ++o) {
      double sum = 0;
      for (std::int64_t i = 0; i < x.size(1); ++i) sum += x[l][i] * w[o][i];
      out.accessor<double, 2>()[l][o] = sum;
    }
  }
  return out;
}

/// Turns the neighbouring pairs of every head, base 10000.
void turn(Tensor const& x_LND, int head_size) {
  auto x = x_LND.accessor<double, 2>();
  for (std::int64_t l = 0; l < x.size(0); ++l) {
    for (std::int64_t i = 0; i < x.size(1); i += 2) {
      double const angle = static_cast<double>(l) * std::pow(10000.0, -static_cast<double>(i % head_size) / head_size);
      double const even = x[l][i], odd = x[l][i + 1];
      x[l][i] = even * std::cos(angle) - odd * std::sin(angle);
      x[l][i + 1] = even * std::sin(angle) + odd * std::cos(angle);
    }
  }
}

/// Grouped-query attention by loops in double: query head n reads key head n / (heads / keys).
Tensor naive(Tensor const& x_BLD, std::map<std::string, Tensor> const& leaves, int heads, int keys, bool rotates) {
  NoGrad guard;
  auto const weight = [&](char const* name) { return leaves.at(name).detach().to(float64).contiguous(); };
  int const size = 16 / heads;
  auto const length = x_BLD.size(1);
  std::vector<Tensor> rows;
  for (auto const& x_LD : x_BLD.unbind(0)) {
    auto const q_LD = product(x_LD, weight("wq.weight")), k_LD = product(x_LD, weight("wk.weight")),
               v_LD = product(x_LD, weight("wv.weight"));
    if (rotates) {
      turn(q_LD, size);
      turn(k_LD, size);
    }
    auto mixed_LD = at::zeros({length, 16}, float64);
    auto const q = q_LD.accessor<double, 2>(), k = k_LD.accessor<double, 2>(), v = v_LD.accessor<double, 2>();
    auto mixed = mixed_LD.accessor<double, 2>();
    for (int n = 0; n < heads; ++n) {
      int const from = n * size, key = n / (heads / keys) * size;
      for (std::int64_t l = 0; l < length; ++l) {
        std::vector<double> weights;
        double total = 0;
        for (std::int64_t s = 0; s <= l; ++s) {  // causal: itself and what came before
          double score = 0;
          for (int h = 0; h < size; ++h) score += q[l][from + h] * k[s][key + h];
          weights.push_back(std::exp(score / std::sqrt(size)));
          total += weights.back();
        }
        for (std::int64_t s = 0; s <= l; ++s) {
          for (int h = 0; h < size; ++h) {
            mixed[l][from + h] += weights[static_cast<std::size_t>(s)] / total * v[s][key + h];
          }
        }
      }
    }
    rows.push_back(product(mixed_LD, weight("wo.weight")));
  }
  return at::stack(rows);
}

template <class Layer>
Sequence sequence_of(std::int64_t length, Dtype dtype) {
  if constexpr (Layer::rotates) return {.rotary = rotary_table(Layer::rope, Layer::head_size, length, dtype, at::kCPU)};
  return {};
}

template <class Layer>
std::map<std::string, Tensor> gradients(Dtype dtype, bool differences) {
  auto layer = Layer::make(Initial::truncated_normal(0.1));
  auto leaves = alone::ready(layer, dtype);
  leaves["x"] = alone::normal({2, 5, 16}, 1).to(dtype).requires_grad_();
  auto const by = alone::normal({2, 5, 16}, 2).to(dtype);
  auto const sequence = sequence_of<Layer>(5, dtype);
  auto const loss = [&] { return (layer(leaves["x"], sequence).square() * by).sum(); };
  if (differences) {
    alone::check_gradients(loss, leaves);
  } else {
    backward(loss());
  }
  return leaves;
}

template <int heads, int keys, class Position = Rope>
void equals_loops() {
  using Layer = AttentionLayer<record<heads, keys, Position>>;
  CAPTURE(heads);
  CAPTURE(keys);
  auto layer = Layer::make(Initial::truncated_normal(0.1));
  auto const leaves = alone::ready(layer, float64);
  auto const x = alone::normal({2, 9, 16}, 1);
  auto const expected = naive(x, leaves, heads, keys, std::same_as<Position, Rope>);
  CHECK(alone::relative(layer(x, sequence_of<Layer>(9, float64)), expected) <= 1e-14);

  auto single = Layer::make(Initial::truncated_normal(0.1));
  alone::ready(single, float32);
  CHECK(alone::relative(single(x.to(float32), sequence_of<Layer>(9, float32)), expected) <= 2e-6);
}

using Grouped = AttentionLayer<record<4, 2>>;
using Whole = AttentionLayer<record<4, 4>>;

}  // namespace

static_assert(Grouped::head_size == 4 && Grouped::inner == 16 && Grouped::keys_inner == 8);
static_assert(std::is_same_v<Grouped::output, Partial>);
static_assert(Grouped::rotates && !AttentionLayer<record<4, 2, NoPosition>>::rotates);

TEST_CASE("attention equals loops in double") {
  equals_loops<4, 4>();
  equals_loops<4, 2>();
  equals_loops<4, 1>();
  equals_loops<1, 1>();
  equals_loops<8, 2>();
  equals_loops<4, 2, NoPosition>();
}

TEST_CASE("its gradients are those of finite differences, in float32 too") {
  CHECK(alone::worst_gradient(gradients<Grouped>(float32, false), gradients<Grouped>(float64, true)) <= 1e-5);
  CHECK(alone::worst_gradient(gradients<Whole>(float32, false), gradients<Whole>(float64, true)) <= 1e-5);
  gradients<AttentionLayer<record<4, 1>>>(float64, true);
  gradients<AttentionLayer<record<4, 2, NoPosition>>>(float64, true);
}

TEST_CASE("shared keys are repeated keys") {
  auto grouped = Grouped::make(Initial::truncated_normal(0.1));
  alone::ready(grouped, float64);
  auto whole = Whole::make(Initial::truncated_normal(0.1));
  alone::ready(whole, float64);
  auto const repeat = [](Tensor const& w) { return w.view({2, 1, 4, 16}).expand({2, 2, 4, 16}).reshape({16, 16}); };
  whole.wq.weight.materialised = grouped.wq.weight.materialised;
  whole.wo.weight.materialised = grouped.wo.weight.materialised;
  whole.wk.weight.materialised = repeat(grouped.wk.weight.materialised);
  whole.wv.weight.materialised = repeat(grouped.wv.weight.materialised);
  auto const x = alone::normal({2, 9, 16}, 1);
  auto const sequence = sequence_of<Grouped>(9, float64);
  CHECK(alone::relative(grouped(x, sequence), whole(x, sequence)) <= 1e-14);
}

TEST_CASE("no token sees a later one") {
  for (auto const dtype : {float32, float64}) {
    auto layer = Grouped::make(Initial::truncated_normal(0.1));
    alone::ready(layer, dtype);
    auto const x = alone::normal({1, 9, 16}, 1).to(dtype);
    auto changed = x.clone();
    changed.narrow(1, 6, 3).add_(100);
    auto const sequence = sequence_of<Grouped>(9, dtype);
    auto const a = layer(x, sequence), b = layer(changed, sequence);
    CHECK(a.narrow(1, 0, 6).equal(b.narrow(1, 0, 6)));
    CHECK_FALSE(a.narrow(1, 6, 3).equal(b.narrow(1, 6, 3)));
  }
}

TEST_CASE("a single token sees itself alone") {
  auto layer = Grouped::make(Initial::truncated_normal(0.1));
  auto const leaves = alone::ready(layer, float64);
  auto const x = alone::normal({3, 1, 16}, 1);
  CHECK(alone::relative(layer(x, sequence_of<Grouped>(1, float64)), naive(x, leaves, 4, 2, true)) <= 1e-14);
}

namespace {

/// The record with options; width 16 and heads 4/2 of size 6, which 16 does not divide into.
template <bool bias, QkNorm norm, class Position, class Mask = Causal>
constexpr auto optional = block_at<0>(Decoder{.layers = 1,
                                              .width = 16,
                                              .vocab = 8,
                                              .mixer = Attention{.heads = 4,
                                                                 .kv_heads = 2,
                                                                 .head_size = 6,
                                                                 .bias = bias,
                                                                 .qk_norm = norm,
                                                                 .temperature = {.scale = 0.7, .floor = 3}},
                                              .position = Position{},
                                              .mask = Mask{},
                                              .norm = RmsNorm{.epsilon = 1e-2}});

/// One query head of one sequence after another, by plain operators in float64, in the order that the record says.
template <auto block>
Tensor by_definition(Tensor const& x_BLD, std::map<std::string, Tensor> const& leaves, Tensor const& table_LL) {
  NoGrad guard;
  constexpr Attention spec = block.mixer;
  constexpr bool rotates = std::same_as<std::remove_cvref_t<decltype(block.position)>, Rope>;
  auto const length = x_BLD.size(1);
  auto const leaf = [&](std::string const& name) { return leaves.at(name).detach().to(float64); };
  auto const normed = [&](Tensor const& t) { return t / (t.square().mean(-1, true) + 1e-2).sqrt(); };
  auto const head_of = [&](std::string const& name, Tensor const& x_LD, int head) {
    auto t = at::matmul(x_LD, leaf(name + ".weight").narrow(0, 6 * head, 6).t());
    if (spec.bias) t = t + leaf(name + ".bias").narrow(0, 6 * head, 6);
    bool const is_query = name == "wq";
    if (name == "wv") return t;
    if (spec.qk_norm == QkNorm::weighted) t = normed(t) * leaf(is_query ? "q_norm.weight" : "k_norm.weight");
    if (rotates) {
      t = t.contiguous();
      turn(t, 6);
      if (spec.qk_norm == QkNorm::weightless) t = normed(t);
    } else if (is_query) {
      for (std::int64_t l = 0; l < length; ++l) t[l] *= 1 + 0.7 * std::log(1 + std::floor((static_cast<double>(l) + 1) / 3));
    }
    return t;
  };
  std::vector<Tensor> rows;
  for (auto const& x_LD : x_BLD.unbind(0)) {
    std::vector<Tensor> heads;
    for (int n = 0; n < 4; ++n) {
      auto const score = at::matmul(head_of("wq", x_LD, n), head_of("wk", x_LD, n / 2).t()) / std::sqrt(6.0);
      heads.push_back(at::matmul(score.masked_fill(table_LL.logical_not(), -INFINITY).softmax(-1), head_of("wv", x_LD, n / 2)));
    }
    rows.push_back(at::matmul(at::cat(heads, -1), leaf("wo.weight").t()));
  }
  return at::stack(rows);
}

template <bool bias, QkNorm norm, class Position>
void options_equal_their_definition() {
  constexpr auto block = optional<bias, norm, Position>;
  using Layer = AttentionLayer<block>;
  auto layer = Layer::make(Initial::truncated_normal(0.1));
  auto leaves = alone::ready(layer, float64);
  CHECK(leaves.size() == 4 + (bias ? 3 : 0) + (norm == QkNorm::weighted ? 2 : 0));
  std::int64_t count = 0;
  for (auto const& [name, leaf] : leaves) count += leaf.numel();
  CHECK(count == block.mixer.parameters(16));
  auto const x = alone::normal({2, 9, 16}, 1);
  auto const seen = at::ones({9, 9}, at::TensorOptions().dtype(at::kBool)).tril();
  CHECK(alone::relative(layer(x, sequence_of<Layer>(9, float64)), by_definition<block>(x, leaves, seen)) <= 1e-13);
  auto single = Layer::make(Initial::truncated_normal(0.1));
  alone::ready(single, float32);
  CHECK(alone::relative(single(x.to(float32), sequence_of<Layer>(9, float32)), by_definition<block>(x, leaves, seen)) <= 3e-6);
}

}  // namespace

static_assert(AttentionLayer<optional<true, QkNorm::none, Rope>>::inner == 24);
static_assert(AttentionLayer<optional<true, QkNorm::none, Rope>>::epsilon == 1e-2);

TEST_CASE("biases and norms of queries and keys equal their definition, each where the record has it") {
  options_equal_their_definition<false, QkNorm::none, Rope>();
  options_equal_their_definition<true, QkNorm::none, Rope>();
  options_equal_their_definition<true, QkNorm::weighted, NoPosition>();
  options_equal_their_definition<false, QkNorm::weighted, Rope>();
  options_equal_their_definition<false, QkNorm::weightless, Rope>();
  options_equal_their_definition<true, QkNorm::weightless, NoPosition>();
}

TEST_CASE("their gradients are those of finite differences") {
  gradients<AttentionLayer<optional<true, QkNorm::weighted, Rope>>>(float64, true);
  gradients<AttentionLayer<optional<false, QkNorm::weightless, Rope>>>(float64, true);
  gradients<AttentionLayer<optional<false, QkNorm::none, NoPosition>>>(float64, true);
}

TEST_CASE("the layer attends to what its sequence lets be seen, and shows it") {
  using Layer = AttentionLayer<optional<false, QkNorm::none, Rope>>;
  auto layer = Layer::make(Initial::truncated_normal(0.1));
  auto const leaves = alone::ready(layer, float64);
  auto const x = alone::normal({2, 9, 16}, 1);
  auto sequence = sequence_of<Layer>(9, float64);
  sequence.visible = {.first = at::tensor({0, 0, 1, 3, 3, 3, 5, 6, 3}, at::TensorOptions().dtype(int64)).unsqueeze(0), .block = 6};
  auto const table = kernel::visible_table(sequence.visible, 9, at::kCPU)[0];
  CHECK(alone::relative(layer(x, sequence), by_definition<optional<false, QkNorm::none, Rope>>(x, leaves, table)) <= 1e-13);
  struct Seen : Observer {
    int calls = 0;
    void activation(std::string const&, Tensor const&) override {}
    void attention(std::string const&, Tensor const& q, Tensor const&, kernel::VisibleKeys const& visible, double scale) override {
      ++calls;
      CHECK(q.sizes() == at::IntArrayRef({2, 9, 4, 6}));
      CHECK(visible.block == 6);
      CHECK(visible.first.defined());
      CHECK(scale == doctest::Approx(1 / std::sqrt(6.0)).epsilon(1e-15));
    }
  } seen;
  layer(x, sequence, Observed{&seen, "here"});
  CHECK(seen.calls == 1);
}

TEST_CASE("the scaling says by what products are multiplied") {
  constexpr auto block = block_at<0>(Decoder{.layers = 1,
                                             .width = 16,
                                             .vocab = 8,
                                             .mixer = Attention{.heads = 4},
                                             .position = NoPosition{},
                                             .scaling = MuP{.base_width = 8, .base_head_size = 1}});
  using Layer = AttentionLayer<block>;
  auto layer = Layer::make(Initial::normal(0.1));
  auto const leaves = alone::ready(layer, float64);
  auto const x = alone::normal({2, 9, 16}, 1);
  // 1/d instead of 1/√d: as if the queries were half as large.
  auto halved = leaves;
  halved["wq.weight"] = leaves.at("wq.weight").detach() / 2;
  CHECK(alone::relative(layer(x, Sequence{}), naive(x, halved, 4, 4, false)) <= 1e-14);
}

TEST_CASE("which values it starts from and how it is cut") {
  auto const layer = Grouped::make(Initial::truncated_normal(0.005));
  for (auto const* linear : {&layer.wq, &layer.wk, &layer.wv}) {
    CHECK(linear->weight.initial.deviation == 0.02);
    CHECK(linear->weight.initial.high == 2);
    CHECK(linear->weight.tensor_dim == 0);
  }
  CHECK(layer.wk.weight.shape == Shape{8, 16});
  CHECK(layer.wo.weight.initial.deviation == 0.005);
  CHECK(layer.wo.weight.tensor_dim == 1);
}
