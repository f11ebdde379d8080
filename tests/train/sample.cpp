// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/sample.hpp"

#include "train/small.hpp"

using namespace lierne;

namespace {

/// Says one token after another, whatever came before: token t + 1 after t tokens.
struct Counting final : Trainable {
  Plan plan() const override { return {}; }
  std::string name() const override { return "counting"; }
  Dtype compute() const override { return float32; }
  Tensor observed_loss(Tensor const&, Tensor const&, double, Observer&) override { return {}; }
  std::int64_t vocab() const override { return 4096; }
  std::int64_t parameter_count() const override { return 0; }
  double flops_per_token(std::int64_t) const override { return 0; }
  void init(InitOptions const&, Mesh const&) override {}
  Tensor loss(Tensor const&, Tensor const&, double) override { return {}; }
  Tensor logits(Tensor const& tokens) override {
    return 50 * at::one_hot((tokens + 1) % 4096, 4096).to(float32);
  }
  std::vector<Parameter*> parameters() override { return {}; }
};

}  // namespace

TEST_CASE("the most probable tokens are taken at temperature 0, and nearly always at a sharp distribution") {
  auto const text = small::text();
  auto const& tokenizer = text.tokenizer();
  Counting model;
  // After the begin of text (4084) comes 4085, the end of text: nothing is left to print.
  CHECK(sample(model, tokenizer, {.tokens = 5, .temperature = 0}) == "");
}

TEST_CASE("the same seed gives the same text and the context is bounded") {
  auto const text = small::text();
  lierne::detail::TrainableModel model{Model<small::spec>{}};
  Mesh const mesh;
  model.init({.seed = 1}, mesh);
  auto const once = sample(model, text.tokenizer(), {.tokens = 12, .context = 4});
  CHECK(once == sample(model, text.tokenizer(), {.tokens = 12, .context = 4}));
  CHECK(once != sample(model, text.tokenizer(), {.tokens = 12, .seed = 2, .context = 4}));
  CHECK_FALSE(once.empty());
}
