// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/model.hpp"

#include "nn/golden_model.hpp"

using namespace lierne;

static_assert(Model<golden::gqa>::master == float32);
static_assert(Model<with(golden::gqa, BFloat16{})>::compute == bfloat16);

namespace {

struct Bounds {
  double logits, activation, gradient_relative, gradient, loss;
};
constexpr Bounds float32_bounds{3e-6, 5e-6, 1e-5, 2e-7, 3e-6};
constexpr Bounds float64_bounds{1e-12, 1e-12, 1e-12, 1e-13, 1e-12};

template <auto spec>
void equals_the_original(std::string const& name, Bounds bounds) {
  auto const file = SafeTensors::open(golden::path(name));
  Model<spec> model;
  model.init();
  golden::load(model, file);
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");

  std::map<std::string, Tensor> activations;
  auto const logits = model.forward(tokens, [&](std::string const& at, Tensor const& x) { activations[at] = x; });
  CHECK(golden::max_abs(logits, file.tensor("logits0")) <= bounds.logits);
  CHECK(activations.size() == 2 + spec.layers);
  for (auto const& [at, x] : activations) {
    CAPTURE(at);
    CHECK(golden::max_abs(x, file.tensor("act0/" + at)) <= bounds.activation);
  }
  auto const loss = cross_entropy_sum(logits, labels) / static_cast<double>(valid_labels(labels));
  CHECK(std::abs(loss.template item<double>() - file.tensor("losses")[0].item<double>()) <= bounds.loss);
  auto const fused = model.loss(tokens, labels, static_cast<double>(valid_labels(labels)));
  CHECK(std::abs(fused.template item<double>() - file.tensor("losses")[0].template item<double>()) <= bounds.loss);
  backward(fused);
  double squares = 0;
  model.walk([&](std::string const& at, Parameter& p) {
    CAPTURE(at);
    auto const expected = file.tensor("g0/" + at);
    REQUIRE(p.owned.grad().defined());
    CHECK(golden::relative(p.owned.grad(), expected) <= bounds.gradient_relative);
    CHECK(golden::max_abs(p.owned.grad(), expected) <= bounds.gradient);
    squares += p.owned.grad().to(float64).square().sum().template item<double>();
  });
  CHECK(std::abs(std::sqrt(squares) - file.tensor("grad_norms")[0].template item<double>()) <= bounds.loss);
}

/// How far the logits of a record with the fixture's weights are from the fixture's.
template <auto spec>
double logits_error(std::string const& name) {
  auto const file = SafeTensors::open(golden::path(name));
  Model<spec> model;
  model.init();
  golden::load(model, file);
  NoGrad guard;
  return golden::max_abs(model.forward(file.tensor("tokens")), file.tensor("logits0"));
}

}  // namespace

TEST_CASE("activations, logits, loss and every gradient equal the original's") {
  SUBCASE("llama3_gqa") { equals_the_original<golden::gqa>("llama3_gqa", float32_bounds); }
  SUBCASE("llama3_gqa_scaled") { equals_the_original<golden::gqa_scaled>("llama3_gqa_scaled", float32_bounds); }
  SUBCASE("llama3_gqa_scaled_f64") {
    equals_the_original<golden::gqa_scaled_f64>("llama3_gqa_scaled_f64", float64_bounds);
  }
  SUBCASE("mup_tied") { equals_the_original<golden::mup_tied>("mup_tied", float32_bounds); }
  SUBCASE("mup_untied") { equals_the_original<golden::mup_untied>("mup_untied", float32_bounds); }
}

TEST_CASE("the fixtures notice the wrong rules") {
  // Each is far above the bound that the right rule keeps.
  CHECK(logits_error<with(golden::gqa_scaled, Rope{.base = 5e5})>("llama3_gqa_scaled") > 1e-3);
  CHECK(logits_error<with(golden::gqa, Rope{.base = 1e4})>("llama3_gqa") > 1e-4);
  CHECK(logits_error<with(golden::gqa_scaled, Rope{.base = 1e4, .scaling = golden::gqa_scaled.position.scaling})>(
            "llama3_gqa_scaled") > 1e-3);
  CHECK(logits_error<with(golden::gqa, NoPosition{})>("llama3_gqa") > 1e-4);
  CHECK(logits_error<with(golden::gqa_scaled, NoPosition{})>("llama3_gqa_scaled") > 1e-3);
  CHECK(logits_error<with(golden::gqa, RmsNorm{.epsilon = 1e-6})>("llama3_gqa") > 1e-5);
  CHECK(logits_error<with(golden::mup_tied, Causal{})>("mup_tied") > 1e-3);
  CHECK(logits_error<with(golden::mup_tied, MuP{.base_width = 32})>("mup_tied") > 1e-2);
  // muP without its depth multiplier, without its output multiplier, with the square of the depth multiplier.
  CHECK(logits_error<with(golden::mup_untied, MuP{.base_width = 32})>("mup_untied") > 1e-2);
  CHECK(logits_error<with(golden::mup_untied, MuP{.base_width = 64, .base_layers = 1.5})>("mup_untied") > 0.5);
  CHECK(logits_error<with(golden::mup_untied, MuP{.base_width = 32, .base_layers = 1.5, .exponent = 2})>("mup_untied") > 1e-3);
}
