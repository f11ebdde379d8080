// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/model.hpp"

#include "nn/golden_model.hpp"

using namespace lierne;

static_assert(Model<golden::gqa>::master == float32);
static_assert(Model<with(golden::gqa, BFloat16{})>::compute == bfloat16);

using golden::check_first_step, golden::float32_bounds, golden::logits_error;

TEST_CASE("activations, logits, loss and every gradient equal the original's") {
  SUBCASE("llama3_gqa") { check_first_step<golden::gqa>("llama3_gqa", float32_bounds); }
  SUBCASE("llama3_gqa_scaled") { check_first_step<golden::gqa_scaled>("llama3_gqa_scaled", float32_bounds); }
  SUBCASE("llama3_gqa_scaled_f64") {
    check_first_step<golden::gqa_scaled_f64>("llama3_gqa_scaled_f64", golden::float64_bounds);
  }
  SUBCASE("mup_tied") { check_first_step<golden::mup_tied>("mup_tied", float32_bounds); }
  SUBCASE("mup_untied") { check_first_step<golden::mup_untied>("mup_untied", float32_bounds); }
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
