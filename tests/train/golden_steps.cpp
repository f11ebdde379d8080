// SPDX-License-Identifier: Apache-2.0
// Three whole training steps against the original program's: losses, gradient norms and weights.
#include "lierne/optim/optim.hpp"
#include "nn/golden_model.hpp"

using namespace lierne;

namespace {

template <auto spec>
void trains_as_the_original(std::string const& name, double loss_bound, double weight_bound) {
  auto const file = SafeTensors::open(golden::path(name));
  Model<spec> model;
  model.init();
  golden::load(model, file);
  std::vector<Slot> slots;
  model.walk([&](std::string const& at, Parameter& p) { slots.push_back({.name = at, .weight = p.owned}); });
  auto optimizer = bind(clip_norm(1.0) | adamw({.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8}) |
                        decay(0.1, times_rate));
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  for (int k = 0; k < 3; ++k) {
    CAPTURE(k);
    auto const loss = model.loss(tokens, labels, static_cast<double>(valid_labels(labels)));
    backward(loss);
    auto const report = optimizer->step(slots, {.step = k, .total = 3});
    CHECK(std::abs(loss.template item<double>() - file.tensor("losses")[k].item<double>()) <= loss_bound);
    CHECK(std::abs(report.grad_norm - file.tensor("grad_norms")[k].item<double>()) <= loss_bound);
  }
  model.walk([&](std::string const& at, Parameter& p) {
    CAPTURE(at);
    CHECK(golden::max_abs(p.owned, file.tensor("w3/" + at)) <= weight_bound);
    CHECK(golden::max_abs(p.owned, file.tensor("w0/" + at)) > 1e-3);  // the steps did something
  });
}

}  // namespace

TEST_CASE("three steps end at the original's weights") {
  SUBCASE("llama3_gqa") { trains_as_the_original<golden::gqa>("llama3_gqa", 3e-6, 3e-5); }
  SUBCASE("llama3_gqa_scaled") { trains_as_the_original<golden::gqa_scaled>("llama3_gqa_scaled", 3e-6, 3e-5); }
  SUBCASE("llama3_gqa_scaled_f64") {
    trains_as_the_original<golden::gqa_scaled_f64>("llama3_gqa_scaled_f64", 1e-12, 1e-11);
  }
}
