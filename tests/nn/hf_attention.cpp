// SPDX-License-Identifier: Apache-2.0
// Tiny models of Hugging Face transformers with the options of attention that Qwen 2.5, Qwen 3 and Llama 4 have; see
// make_hf_golden.py, which wrote their weights, logits and gradients.
#include "nn/golden_model.hpp"

using namespace lierne;

namespace {

constexpr Decoder qwen2{.layers = 2,
                        .width = 64,
                        .vocab = 96,
                        .mixer = Attention{.heads = 4, .kv_heads = 2, .bias = true},
                        .channel = SwiGlu{.hidden = 80},
                        .norm = RmsNorm{.epsilon = 1e-6}};
constexpr auto qwen3 = with(qwen2, Attention{.heads = 4, .kv_heads = 2, .head_size = 24, .qk_norm = QkNorm::weighted});
constexpr Decoder llama4{.layers = 4,
                         .width = 64,
                         .vocab = 96,
                         .mixer = Attention{.heads = 4,
                                            .kv_heads = 2,
                                            .qk_norm = QkNorm::weightless,
                                            .temperature = {.scale = 0.1, .floor = 8}},
                         .position = every<4>(NoPosition{}, Rope{.scaling = {.factor = 16, .low = 1, .high = 1, .original = 64}}),
                         .mask = every<4>(Causal{}, FixedBlock{.size = 8}),
                         .channel = SwiGlu{.hidden = 80}};

SafeTensors fixture(std::string const& name) { return SafeTensors::open(golden::path("hf_" + name + "_attention")); }

template <auto spec>
double logits_error(std::string const& name) {
  auto const file = fixture(name);
  Model<spec> model;
  model.init();
  golden::load(model, file);
  NoGrad guard;
  return golden::max_abs(model.forward(file.tensor("tokens")), file.tensor("logits0"));
}

template <auto spec>
void equals_transformers(std::string const& name) {
  auto const file = fixture(name);
  Model<spec> model;
  model.init();
  golden::load(model, file);
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  CHECK(logits_error<spec>(name) <= 1e-5);
  auto const loss = model.loss(tokens, labels, static_cast<double>(valid_labels(labels)));
  CHECK(std::abs(loss.template item<double>() - file.tensor("losses")[0].item<double>()) <= 3e-6);
  backward(loss);
  std::size_t parameters = 0;
  model.walk([&](std::string const& at, Parameter& p) {
    CAPTURE(at);
    ++parameters;
    REQUIRE(p.owned.grad().defined());
    CHECK(golden::relative(p.owned.grad(), file.tensor("g0/" + at)) <= 1e-5);
  });
  CHECK(file.names().size() == 4 + 2 * parameters);
}

}  // namespace

TEST_CASE("options of attention equal transformers' in logits, loss and every gradient") {
  SUBCASE("qwen2") { equals_transformers<qwen2>("qwen2"); }
  SUBCASE("qwen3") { equals_transformers<qwen3>("qwen3"); }
  SUBCASE("llama4") { equals_transformers<llama4>("llama4"); }
}

TEST_CASE("the fixtures notice every option left out or put in another place") {
  CHECK(logits_error<with(qwen2, NoPosition{})>("qwen2") > 1e-3);
  CHECK(logits_error<with(llama4, Attention{.heads = 4, .kv_heads = 2, .temperature = {.scale = 0.1, .floor = 8}})>("llama4") > 1e-3);
  CHECK(logits_error<with(llama4, Attention{.heads = 4, .kv_heads = 2, .qk_norm = QkNorm::weightless})>("llama4") > 1e-3);
  CHECK(logits_error<with(llama4, every_from_first<4>(NoPosition{}, llama4.position.others))>("llama4") > 1e-3);
  CHECK(logits_error<with(llama4, every<4>(NoPosition{}, Rope{}))>("llama4") > 1e-3);
  CHECK(logits_error<with(llama4, Causal{})>("llama4") > 1e-3);
  CHECK(logits_error<with(llama4, SlidingWindow{.size = 8})>("llama4") > 1e-3);
}
