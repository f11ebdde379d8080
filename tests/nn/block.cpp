// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/block.hpp"

#include "lierne/spec/with.hpp"
#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr Decoder spec{.layers = 4,
                       .width = 8,
                       .vocab = 8,
                       .mixer = Attention{.heads = 2, .kv_heads = 1},
                       .channel = SwiGlu{.hidden = 12},
                       .precision = Float64{}};
using TheBlock = Block<block_at<0>(spec)>;

/// A mixer that looks at nothing but its input.
struct Shift {
  static constexpr Role role = Role::mixer;
  template <auto block>
  struct Layer {
    Parameter weight{.shape = {block.width}, .initial = Initial::ones()};
    static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
    Tensor operator()(Tensor const& x) const { return x.roll(1, 1) * weight(); }
  };
};
using ShiftBlock = Block<block_at<0>(with(spec, Shift{}))>;

Sequence sequence_of(std::int64_t length, Dtype dtype) {
  return {.rotary = rotary_table(TheBlock::Mixer::rope, TheBlock::Mixer::head_size, length, dtype, at::kCPU)};
}

}  // namespace

TEST_CASE("a block adds the mixer and then the channel to the residual stream") {
  auto block = TheBlock::make(0, 4);
  alone::ready(block, float64);
  auto const h = alone::normal({2, 5, 8}, 1);
  auto const sequence = sequence_of(5, float64);
  auto const rms = [](Tensor const& x, Tensor const& weight) {
    return x / (x.square().mean(-1, true) + 1e-5).sqrt() * weight;
  };
  auto const mixed = h + block.mixer(rms(h, block.mixer_norm.weight()), sequence);
  auto const expected = mixed + block.channel(rms(mixed, block.channel_norm.weight()));
  CHECK(alone::relative(block(h, sequence, float64, Group{}), expected) <= 1e-14);
}

TEST_CASE("its gradients are those of finite differences, in float32 too") {
  auto const by = alone::normal({1, 4, 8}, 2);
  auto const run = [&](Dtype dtype, bool differences) {
    auto block = TheBlock::make(0, 4);
    auto leaves = alone::ready(block, dtype);
    leaves["h"] = alone::normal({1, 4, 8}, 1).to(dtype).requires_grad_();
    auto const sequence = sequence_of(4, dtype);
    auto const loss = [&] { return (block(leaves["h"], sequence, dtype, Group{}) * by.to(dtype)).sum(); };
    if (differences) {
      alone::check_gradients(loss, leaves);
    } else {
      backward(loss());
    }
    return leaves;
  };
  auto const exact = run(float64, true);
  CHECK(alone::worst_gradient(run(float32, false), exact) <= 1e-5);
}

TEST_CASE("the residual stream stays in the master dtype") {
  auto block = TheBlock::make(0, 4);
  alone::ready(block, float32);
  for (auto* p : parameters_of(block)) {
    if (p->read_as == ReadAs::compute) p->materialised = p->owned.to(bfloat16);
  }
  auto const h = alone::normal({2, 5, 8}, 1).to(float32);
  auto const out = block(h, sequence_of(5, float32), bfloat16, Group{});
  CHECK((out.scalar_type() == float32));
  // A stream that went through bfloat16 would have lost these bits.
  CHECK_FALSE(out.to(bfloat16).to(float32).equal(out));
}

TEST_CASE("names are torchtitan's") {
  auto block = TheBlock::make(0, 4);
  std::vector<std::string> names;
  walk(block, [&](std::string const& name, Parameter&) { names.push_back(name); }, "layers.0");
  CHECK(names == std::vector<std::string>{
                     "layers.0.attention.wq.weight", "layers.0.attention.wk.weight", "layers.0.attention.wv.weight",
                     "layers.0.attention.wo.weight", "layers.0.feed_forward.w1.weight", "layers.0.feed_forward.w2.weight",
                     "layers.0.feed_forward.w3.weight", "layers.0.attention_norm.weight", "layers.0.ffn_norm.weight"});
}

TEST_CASE("the deviation of what writes to the residual stream falls with depth") {
  for (int layer : {0, 1, 3}) {
    auto const block = TheBlock::make(layer, 4);
    double const expected = 0.02 / std::sqrt(2.0 * (layer + 1));
    CHECK(block.mixer.wo.weight.initial.deviation == doctest::Approx(expected).epsilon(1e-15));
    CHECK(block.channel.w2.weight.initial.deviation == doctest::Approx(expected).epsilon(1e-15));
    CHECK(block.channel.w1.weight.initial.deviation == 0.02);
  }
  using Flat = Block<block_at<0>(with(spec, Standard{.by_depth = false, .deviation = 0.01}))>;
  CHECK(Flat::make(0, 4).mixer.wo.weight.initial.deviation == doctest::Approx(0.01 / std::sqrt(8.0)).epsilon(1e-15));
  CHECK(Flat::make(3, 4).channel.w3.weight.initial.deviation == doctest::Approx(0.01 / std::sqrt(8.0)).epsilon(1e-15));
}

TEST_CASE("a mixer of one's own may leave the sequence's context out") {
  auto block = ShiftBlock::make(0, 4);
  auto const leaves = alone::ready(block, float64);
  CHECK(leaves.contains("mixer.weight"));
  auto const h = alone::normal({2, 5, 8}, 1);
  CHECK(block(h, Sequence{}, float64, Group{}).sizes() == h.sizes());
}
