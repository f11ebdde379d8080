// SPDX-License-Identifier: Apache-2.0
// The fixtures of the original program: the records of their models, and their weights put into a model.
#pragma once

#include <doctest/doctest.h>

#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/nn/nn.hpp"
#include "lierne/tensor/operations.hpp"

namespace golden {

using namespace lierne;

/// llama3_gqa: plain first values, no rotary scaling.
inline constexpr Decoder gqa{.layers = 3,
                             .width = 64,
                             .vocab = 128,
                             .mixer = Attention{.heads = 4, .kv_heads = 2},
                             .position = Rope{.base = 5e5},
                             .channel = SwiGlu{.multiple_of = 16}};
/// llama3_gqa_scaled: perturbed weights, scaled rotations.
inline constexpr auto gqa_scaled =
    with(gqa, Rope{.base = 5e5, .scaling = {.factor = 8, .low = 1, .high = 4, .original = 64}});
/// llama3_gqa_scaled_f64: the same kind at width 48, in float64.
inline constexpr auto gqa_scaled_f64 = with(gqa_scaled, field<"width">(48), Float64{});

/// mup_untied: CompleteP at twice the base's width and depth, an embedding norm, perturbed weights.
inline constexpr Decoder mup_untied{.layers = 3,
                                    .width = 64,
                                    .vocab = 128,
                                    .mixer = Attention{.heads = 4, .kv_heads = 2},
                                    .channel = SwiGlu{.multiple_of = 16},
                                    .scaling = MuP{.base_width = 32, .base_layers = 1.5},
                                    .embedding_norm = true};

/// mup_tied: the same with every norm that a record can have, the output tied to the embedding, and documents; plain first
/// values.
inline constexpr auto mup_tied =
    with(mup_untied, field<"tied">(true), field<"peri_norm">(true), Documents{.end = 5});

/// llama4_top1 and llama4_top1_perturbed: experts in layers 1 and 3.
inline constexpr Decoder top1{.layers = 4,
                              .width = 64,
                              .vocab = 128,
                              .mixer = Attention{.heads = 4, .kv_heads = 2},
                              .position = Rope{.base = 5e5},
                              .channel = every<2>(Moe{.experts = 4, .multiple_of = 16}, SwiGlu{.multiple_of = 16})};
/// The same with other experts in the same layers.
template <auto spec = top1>
constexpr auto with_experts(Moe experts) {
  return with(spec, every<2>(experts, spec.channel.others));
}
/// llama4_top2_before.
inline constexpr auto top2 = with_experts(Moe{.experts = 4, .top_k = 2, .multiple_of = 16});
/// llama4_top1_f64: width 32, perturbed, in float64.
inline constexpr auto top1_f64 =
    with(top1, field<"width">(32), Float64{}, every<2>(Moe{.experts = 4, .multiple_of = 8}, SwiGlu{.multiple_of = 8}));

/// llama4_irope: no position and whole documents in layers 0, 4, ..., rotations within blocks of 16 in the others.
inline constexpr auto irope =
    with(top1, every_from_first<4>(NoPosition{}, Rope{.base = 5e5}),
         every_from_first<4>(Causal{} & Documents{.end = 5}, FixedBlock{.size = 16} & Documents{.end = 5}));

/// hf_qwen2_attention, hf_qwen3_attention and hf_llama4_attention: options of attention, from transformers.
inline constexpr Decoder qwen2{.layers = 2,
                               .width = 64,
                               .vocab = 96,
                               .mixer = Attention{.heads = 4, .kv_heads = 2, .bias = true},
                               .channel = SwiGlu{.hidden = 80},
                               .norm = RmsNorm{.epsilon = 1e-6}};
inline constexpr auto qwen3 = with(qwen2, Attention{.heads = 4, .kv_heads = 2, .head_size = 24, .qk_norm = QkNorm::weighted});
inline constexpr Decoder llama4{.layers = 4,
                                .width = 64,
                                .vocab = 96,
                                .mixer = Attention{.heads = 4,
                                                   .kv_heads = 2,
                                                   .qk_norm = QkNorm::weightless,
                                                   .temperature = {.scale = 0.1, .floor = 8}},
                                .position = every<4>(NoPosition{}, Rope{.scaling = {.factor = 16, .low = 1, .high = 1, .original = 64}}),
                                .mask = every<4>(Causal{}, FixedBlock{.size = 8}),
                                .channel = SwiGlu{.hidden = 80}};

inline std::string path(std::string const& name) { return LIERNE_GOLDEN "/" + name + ".safetensors"; }

/// Copies this process's box of each of the file's tensors `prefix + name` into the model.
template <class M>
void load(M& model, SafeTensors const& file, std::string const& prefix = "w0/") {
  NoGrad guard;
  model.walk([&](std::string const& name, Parameter& p) {
    auto const whole = file.tensor(prefix + name);
    REQUIRE(whole.sizes() == at::IntArrayRef(p.shape));
    p.owned.copy_(lierne::detail::narrow_to(whole, p.box));
  });
  if constexpr (requires { model.walk_buffers(BufferVisitor{}); }) {
    model.walk_buffers([&](std::string const& name, Buffer& buffer) {
      if (buffer.persistent) buffer.value.copy_(file.tensor(prefix + name));
    });
  }
}

inline double max_abs(Tensor const& a, Tensor const& b) {
  REQUIRE(a.sizes() == b.sizes());
  return (a.to(float64) - b.to(float64)).abs().max().item<double>();
}
/// ‖a − b‖ / ‖b‖.
inline double relative(Tensor const& a, Tensor const& b) {
  REQUIRE(a.sizes() == b.sizes());
  return ((a.to(float64) - b.to(float64)).norm() / b.to(float64).norm()).item<double>();
}

/// The fixture's model with the weights it starts from.
template <auto spec>
Model<spec> loaded(SafeTensors const& file) {
  Model<spec> model;
  model.init();
  load(model, file);
  return model;
}

/// How far a model may be from a fixture.
struct Bounds {
  double logits, activation, gradient_relative, gradient, loss, weight;
};
inline constexpr Bounds float32_bounds{3e-6, 5e-6, 1e-5, 2e-7, 3e-6, 3e-5};
inline constexpr Bounds float64_bounds{1e-12, 1e-12, 1e-12, 1e-13, 1e-12, 1e-11};

/// Compares activations, logits, loss, every gradient and the norm of all with the fixture's first step.
template <auto spec>
void check_first_step(std::string const& name, Bounds bounds) {
  auto const file = SafeTensors::open(path(name));
  auto model = loaded<spec>(file);
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  std::map<std::string, Tensor> activations;
  auto const logits = model.forward(tokens, [&](std::string const& at, Tensor const& x) { activations[at] = x; });
  CHECK(max_abs(logits, file.tensor("logits0")) <= bounds.logits);
  CHECK(activations.size() == 2 + spec.layers);
  for (auto const& [at, x] : activations) {
    CAPTURE(at);
    CHECK(max_abs(x, file.tensor("act0/" + at)) <= bounds.activation);
  }
  auto const count = static_cast<double>(valid_labels(labels));
  auto const first = file.tensor("losses")[0].template item<double>();
  auto const loss = model.loss(tokens, labels, count);
  CHECK(std::abs(loss.template item<double>() - first) <= bounds.loss);
  auto const plain = cross_entropy_sum(logits.detach(), labels) / count;
  CHECK(std::abs(plain.template item<double>() - first) <= bounds.loss);
  backward(loss);
  double squares = 0;
  model.walk([&](std::string const& at, Parameter& p) {
    CAPTURE(at);
    auto const expected = file.tensor("g0/" + at);
    REQUIRE(p.owned.grad().defined());
    CHECK(relative(p.owned.grad(), expected) <= bounds.gradient_relative);
    CHECK(max_abs(p.owned.grad(), expected) <= bounds.gradient);
    squares += p.owned.grad().to(float64).square().sum().template item<double>();
  });
  CHECK(std::abs(std::sqrt(squares) - file.tensor("grad_norms")[0].template item<double>()) <= bounds.loss);
}

/// How far the logits of a record with the fixture's weights are from the fixture's.
template <auto spec>
double logits_error(std::string const& name) {
  auto const file = SafeTensors::open(path(name));
  auto model = loaded<spec>(file);
  NoGrad const guard;
  return max_abs(model.forward(file.tensor("tokens")), file.tensor("logits0"));
}

}  // namespace golden
