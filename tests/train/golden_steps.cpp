// SPDX-License-Identifier: Apache-2.0
// Three whole training steps against the original program's: losses, gradient norms and weights.
#include "lierne/optim/optim.hpp"
#include "nn/golden_model.hpp"

using namespace lierne;

namespace {

/// `run` is the part of the fixture's keys that names the run: empty, or `_decoupled`.
template <auto spec>
void trains_as_the_original(std::string const& name, std::unique_ptr<Optimizer> optimizer, double loss_bound,
                            double weight_bound, std::string const& run = {}) {
  auto const file = SafeTensors::open(golden::path(name));
  Model<spec> model;
  model.init();
  golden::load(model, file);
  std::vector<Slot> slots;
  model.walk([&](std::string const& at, Parameter& p) { slots.push_back({.name = at, .weight = p.owned, .kind = p.kind}); });
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  for (int k = 0; k < 3; ++k) {
    CAPTURE(k);
    auto const loss = model.loss(tokens, labels, static_cast<double>(valid_labels(labels)));
    backward(loss);
    auto const report = optimizer->step(slots, {.step = k, .total = 3});
    CHECK(std::abs(loss.template item<double>() - file.tensor("losses" + run)[k].item<double>()) <= loss_bound);
    CHECK(std::abs(report.grad_norm - file.tensor("grad_norms" + run)[k].item<double>()) <= loss_bound);
  }
  model.walk([&](std::string const& at, Parameter& p) {
    CAPTURE(at);
    CHECK(golden::max_abs(p.owned, file.tensor("w3" + run + "/" + at)) <= weight_bound);
    CHECK(golden::max_abs(p.owned, file.tensor("w0/" + at)) > 1e-4);  // the steps did something
  });
}

auto const adam = clip_norm(1.0) | adamw({.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8});

template <auto spec>
void trains_as_the_original(std::string const& name, double loss_bound, double weight_bound) {
  trains_as_the_original<spec>(name, bind(adam | decay(0.1, times_rate)), loss_bound, weight_bound);
}

/// The three runs of a muP fixture: its table has the fork's ε, and grows the decay of hidden matrices under every form.
template <auto spec>
void trains_as_mup(std::string const& name) {
  auto const table = mup_groups(times_rate, spec, MupEpsilon::fork).groups;
  auto const constant = [](std::int64_t, std::int64_t) { return 1.0; };
  auto const factors = [](std::int64_t step, std::int64_t) { return std::array{0.5, 1.0, 0.75}[static_cast<std::size_t>(step)]; };
  auto const by_rate = adam | decay(0.1, times_rate);
  auto const by_schedule = adam | decay(0.1, times_schedule);
  trains_as_the_original<spec>(name, bind(scheduled(by_rate, constant, table)), 3e-6, 3e-5);
  trains_as_the_original<spec>(name, bind(scheduled(by_schedule, constant, table)), 3e-6, 3e-5, "_decoupled");
  trains_as_the_original<spec>(name, bind(scheduled(by_schedule, factors, table)), 3e-6, 3e-5, "_decoupled_sched");
}

}  // namespace

TEST_CASE("three steps end at the original's weights") {
  SUBCASE("llama3_gqa") { trains_as_the_original<golden::gqa>("llama3_gqa", 3e-6, 3e-5); }
  SUBCASE("llama3_gqa_scaled") { trains_as_the_original<golden::gqa_scaled>("llama3_gqa_scaled", 3e-6, 3e-5); }
  SUBCASE("llama3_gqa_scaled_f64") {
    trains_as_the_original<golden::gqa_scaled_f64>("llama3_gqa_scaled_f64", 1e-12, 1e-11);
  }
  SUBCASE("mup_tied") { trains_as_mup<golden::mup_tied>("mup_tied"); }
  SUBCASE("mup_untied") { trains_as_mup<golden::mup_untied>("mup_untied"); }
}
