// SPDX-License-Identifier: Apache-2.0
// Tiny models of Hugging Face transformers with the options of attention that Qwen 2.5, Qwen 3 and Llama 4 have; see
// make_hf_golden.py, which wrote their weights, logits and gradients.
#include "nn/golden_model.hpp"

using namespace lierne;
using golden::llama4, golden::logits_error, golden::qwen2, golden::qwen3;

namespace {

template <auto spec>
void equals_transformers(std::string const& name) {
  auto const file = SafeTensors::open(golden::path(name));
  auto model = golden::loaded<spec>(file);
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
  SUBCASE("qwen2") { equals_transformers<qwen2>("hf_qwen2_attention"); }
  SUBCASE("qwen3") { equals_transformers<qwen3>("hf_qwen3_attention"); }
  SUBCASE("llama4") { equals_transformers<llama4>("hf_llama4_attention"); }
}

TEST_CASE("the fixtures notice every option left out or put in another place") {
  CHECK(logits_error<with(qwen2, NoPosition{})>("hf_qwen2_attention") > 1e-3);
  CHECK(logits_error<with(llama4, Attention{.heads = 4, .kv_heads = 2, .temperature = {.scale = 0.1, .floor = 8}})>("hf_llama4_attention") > 1e-3);
  CHECK(logits_error<with(llama4, Attention{.heads = 4, .kv_heads = 2, .qk_norm = QkNorm::weightless})>("hf_llama4_attention") > 1e-3);
  CHECK(logits_error<with(llama4, every_from_first<4>(NoPosition{}, llama4.position.others))>("hf_llama4_attention") > 1e-3);
  CHECK(logits_error<with(llama4, every<4>(NoPosition{}, Rope{}))>("hf_llama4_attention") > 1e-3);
  CHECK(logits_error<with(llama4, Causal{})>("hf_llama4_attention") > 1e-3);
  CHECK(logits_error<with(llama4, SlidingWindow{.size = 8})>("hf_llama4_attention") > 1e-3);
}
