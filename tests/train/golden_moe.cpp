// SPDX-License-Identifier: Apache-2.0
// The fixtures of Llama 4: first values, activations, gradients, expert counts, and three steps with their biases.
#include <ATen/Version.h>

#include <nlohmann/json.hpp>

#include "lierne/optim/optim.hpp"
#include "nn/golden_model.hpp"

using namespace lierne;
using golden::float32_bounds, golden::float64_bounds, golden::logits_error;

namespace {

/// Compares the buffers of the layers of experts: counts with `tpe0/L`, biases with `w3/FQN`.
template <class M>
int check_buffers(M& model, SafeTensors const& file, bool persistent, double bound) {
  int seen = 0;
  model.walk_buffers([&](std::string const& name, Buffer& buffer) {
    CAPTURE(name);
    if (buffer.persistent != persistent) return;
    ++seen;
    auto const layer = name.substr(7, name.find('.', 7) - 7);
    CHECK(golden::max_abs(buffer.value, file.tensor(persistent ? "w3/" + name : "tpe0/" + layer)) <= bound);
  });
  return seen;
}

template <auto spec>
void equals_the_original(std::string const& name, golden::Bounds bounds) {
  golden::check_first_step<spec>(name, bounds);
  auto const file = SafeTensors::open(golden::path(name));
  auto model = golden::loaded<spec>(file);
  model.forward(file.tensor("tokens"));
  CHECK(check_buffers(model, file, false, 0) == 2);
  CHECK(model.parameters().size() == 2 * 9 + 2 * 13 + 3);
}

template <auto spec>
void trains_as_the_original(std::string const& name, golden::Bounds bounds) {
  auto const file = SafeTensors::open(golden::path(name));
  auto model = golden::loaded<spec>(file);
  std::vector<Slot> slots;
  model.walk([&](std::string const& at, Parameter& p) { slots.push_back({.name = at, .weight = p.owned}); });
  auto optimizer = bind(clip_norm(1.0) | adamw({.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8}) |
                        decay(0.1, times_rate));
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  for (int k = 0; k < 3; ++k) {
    CAPTURE(k);
    auto const loss = model.loss(tokens, labels, static_cast<double>(valid_labels(labels)));
    backward(loss);
    CHECK(model.update_expert_bias().size() == 2);
    auto const report = optimizer->step(slots, {.step = k, .total = 3});
    CHECK(std::abs(loss.template item<double>() - file.tensor("losses")[k].item<double>()) <= bounds.loss);
    CHECK(std::abs(report.grad_norm - file.tensor("grad_norms")[k].item<double>()) <= bounds.loss);
  }
  model.walk([&](std::string const& at, Parameter& p) {
    CAPTURE(at);
    CHECK(golden::max_abs(p.owned, file.tensor("w3/" + at)) <= bounds.weight);
    // The steps did something; an expert without tokens only decays.
    CHECK(golden::max_abs(p.owned, file.tensor("w0/" + at)) > 1e-6);
  });
  CHECK(check_buffers(model, file, true, bounds.loss) == 2);
}

/// Logits without one of the model's parts: `change` alters its tensors by name.
double logits_error_after(std::string const& name, std::function<void(std::string const&, Tensor&)> const& change) {
  auto const file = SafeTensors::open(golden::path(name));
  auto model = golden::loaded<golden::top1>(file);
  NoGrad const guard;
  model.walk([&](std::string const& at, Parameter& p) { change(at, p.owned); });
  model.walk_buffers([&](std::string const& at, Buffer& buffer) { change(at, buffer.value); });
  return golden::max_abs(model.forward(file.tensor("tokens")), file.tensor("logits0"));
}

}  // namespace

TEST_CASE("llama4: activations, logits, counts, loss and every gradient equal the original's") {
  SUBCASE("llama4_top1") { equals_the_original<golden::top1>("llama4_top1", float32_bounds); }
  SUBCASE("llama4_top1_perturbed") { equals_the_original<golden::top1>("llama4_top1_perturbed", float32_bounds); }
  SUBCASE("llama4_top2_before") { equals_the_original<golden::top2>("llama4_top2_before", float32_bounds); }
  SUBCASE("llama4_irope") { equals_the_original<golden::irope>("llama4_irope", float32_bounds); }
  SUBCASE("llama4_top1_f64") { equals_the_original<golden::top1_f64>("llama4_top1_f64", float64_bounds); }
}

TEST_CASE("llama4: three steps end at the original's weights and biases") {
  SUBCASE("llama4_top1") { trains_as_the_original<golden::top1>("llama4_top1", float32_bounds); }
  SUBCASE("llama4_top1_perturbed") { trains_as_the_original<golden::top1>("llama4_top1_perturbed", float32_bounds); }
  SUBCASE("llama4_top2_before") { trains_as_the_original<golden::top2>("llama4_top2_before", float32_bounds); }
  SUBCASE("llama4_irope") { trains_as_the_original<golden::irope>("llama4_irope", float32_bounds); }
  SUBCASE("llama4_top1_f64") { trains_as_the_original<golden::top1_f64>("llama4_top1_f64", float64_bounds); }
}

TEST_CASE("llama4: first values are the original's, bit for bit, in its order") {
  auto const file = SafeTensors::open(golden::path("llama4_top1"));
  auto const order = nlohmann::json::parse(file.metadata().at("init_order"));
  Model<golden::top1> model;
  model.init({.seed = 1234, .stream = InitStream::reference});
  // ATen's normal_ takes another path without AVX2, which differs in the last bits; truncated normals do not.
  bool const vectorised = at::get_cpu_capability() == "AVX2" || at::get_cpu_capability() == "AVX512";
  std::size_t drawn = 0;
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    auto const expected = file.tensor("w0/" + name);
    if (p.initial.kind == Initial::Kind::normal && !vectorised) {
      CHECK(golden::max_abs(p.owned, expected) <= 2e-6);
    } else {
      CHECK(p.owned.equal(expected));
    }
    if (p.initial.kind == Initial::Kind::ones) return;  // draws nothing
    REQUIRE(drawn < order.size());
    CHECK(order[drawn++].at("name") == name);
  });
  CHECK(drawn == 38);
  model.walk_buffers([&](std::string const& name, Buffer& buffer) {
    CHECK(buffer.name == name);
    CHECK(buffer.value.count_nonzero().item<std::int64_t>() == 0);
  });
}

TEST_CASE("llama4: the fixtures notice the wrong rules") {
  using golden::with_experts;
  constexpr Moe right = golden::top1.channel.chosen;
  CHECK(logits_error<with_experts(right)>("llama4_top1") <= 3e-6);
  // Each is far above the bound that the right rule keeps.
  CHECK(logits_error<with_experts(Moe{.experts = 4, .score_before_experts = false, .multiple_of = 16})>("llama4_top1") > 1e-4);
  CHECK(logits_error<with_experts(Moe{.experts = 4, .score = Score::softmax, .multiple_of = 16})>("llama4_top1") > 1e-4);
  CHECK(logits_error<with_experts(Moe{.experts = 4, .route_norm = true, .multiple_of = 16})>("llama4_top1") > 1e-4);
  CHECK(logits_error<with_experts(Moe{.experts = 4, .forced_balance = true, .multiple_of = 16})>("llama4_top1") > 1e-4);
  CHECK(logits_error<with_experts(Moe{.experts = 4, .route_scale = 1.01, .multiple_of = 16})>("llama4_top1") > 1e-5);
  CHECK(logits_error<with(golden::top1, Rope{.base = 1e4})>("llama4_top1") > 1e-4);
  // Meta's layers without position for torchtitan's; no documents; no blocks.
  constexpr auto irope = golden::irope;
  CHECK(logits_error<with(irope, every<4>(irope.position.chosen, irope.position.others),
                          every<4>(irope.mask.chosen, irope.mask.others))>("llama4_irope") > 1e-2);
  CHECK(logits_error<with(irope, every_from_first<4>(Causal{}, FixedBlock{.size = 16}))>("llama4_irope") > 1e-2);
  CHECK(logits_error<with(irope, Documents{.end = 5})>("llama4_irope") > 1e-2);
  CHECK(logits_error<with(golden::top1, RmsNorm{.epsilon = 1e-6})>("llama4_top1") > 1e-5);
  auto const without = [](std::string const& part) {
    return [part](std::string const& name, Tensor& t) {
      if (name.find(part) != std::string::npos) t.zero_();
    };
  };
  CHECK(logits_error_after("llama4_top1", without("shared_experts.w2")) > 1e-3);
  CHECK(logits_error_after("llama4_top1_perturbed", without("moe.experts.w2")) > 1e-3);
  CHECK(logits_error_after("llama4_top1_perturbed", without("expert_bias")) > 1e-3);
}
