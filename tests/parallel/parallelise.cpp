// SPDX-License-Identifier: Apache-2.0
// The spike that decided the bones, kept: under each plan every gradient equals one process's, and ranks that should
// agree are bitwise equal.
#include "lierne/parallel/parallelise.hpp"

#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

struct Case {
  Tensor tokens, labels;
  double count;
};

/// The batch of a fixture, or this data rank's rows of it.
Case batch_of(SafeTensors const& file, Mesh const& mesh) {
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  REQUIRE(tokens.size(0) % mesh.data_world() == 0);
  auto const rows = tokens.size(0) / mesh.data_world();
  return {tokens.narrow(0, mesh.data_rank() * rows, rows), labels.narrow(0, mesh.data_rank() * rows, rows),
          static_cast<double>(valid_labels(labels))};
}

/// The selection biases behind the step's tokens.
template <class M>
std::map<std::string, Tensor> biases_of(M& model) {
  model.update_expert_bias();
  std::map<std::string, Tensor> biases;
  model.walk_buffers([&](std::string const& name, Buffer& buffer) {
    if (buffer.persistent) biases[name] = buffer.value;
  });
  return biases;
}

/// The gradients of one process on the whole batch, and the biases.
template <auto spec>
std::map<std::string, Tensor> alone(SafeTensors const& file) {
  Mesh const mesh;
  Model<spec> model;
  model.init();
  golden::load(model, file);
  auto const batch = batch_of(file, mesh);
  backward(model.loss(batch.tokens, batch.labels, batch.count));
  std::map<std::string, Tensor> gradients;
  model.walk([&](std::string const& name, Parameter& p) { gradients[name] = p.owned.grad(); });
  gradients.merge(biases_of(model));
  return gradients;
}

/// Checks one plan in this process, which was launched as one of its ranks.
template <auto spec, Plan plan>
void equals_one_process(std::string const& fixture, double bound) {
  auto const file = SafeTensors::open(golden::path(fixture));
  auto const expected = alone<spec>(file);
  Mesh const mesh = join(plan, Launch::from_environment());
  Model<spec, plan> model;
  parallelise(model, mesh);
  model.init({}, mesh);
  golden::load(model, file);
  auto const batch = batch_of(file, mesh);
  auto loss = model.loss(batch.tokens, batch.labels, batch.count);
  backward(loss);
  sum_gradients(model.parameters(), mesh);

  auto total = loss.detach().to(float64).clone();
  mesh[Axis::replicate].sum(total);
  mesh[Axis::shard].sum(total);
  CHECK(std::abs(total.template item<double>() - file.tensor("losses")[0].template item<double>()) <= 3e-6);
  auto const biases = biases_of(model);
  CHECK(expected.size() == model.parameters().size() + biases.size());
  for (auto const& [name, bias] : biases) CHECK(bias.equal(expected.at(name)));
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    auto const& gradient = p.owned.grad();
    REQUIRE(gradient.defined());
    CHECK(golden::relative(gradient, lierne::detail::narrow_to(expected.at(name), p.box)) <= bound);
    if (p.tensor_dim == Parameter::whole) {
      auto first = gradient.clone();
      mesh[Axis::tensor].broadcast(first);
      CHECK(first.equal(gradient));
    }
    auto first = gradient.clone();
    mesh[Axis::replicate].broadcast(first);
    CHECK(first.equal(gradient));
  });
}

}  // namespace

TEST_CASE("rank: fsdp 2" * doctest::skip()) { equals_one_process<golden::gqa, Plan{.shard = rest}>("llama3_gqa", 1e-5); }
TEST_CASE("rank: fsdp 2 float64" * doctest::skip()) {
  equals_one_process<golden::gqa_scaled_f64, Plan{.shard = 2}>("llama3_gqa_scaled_f64", 1e-10);
}
TEST_CASE("rank: tensor 2" * doctest::skip()) { equals_one_process<golden::gqa, Plan{.tensor = 2}>("llama3_gqa", 1e-5); }
TEST_CASE("rank: tensor 2 float64" * doctest::skip()) {
  equals_one_process<golden::gqa_scaled_f64, Plan{.tensor = 2}>("llama3_gqa_scaled_f64", 1e-10);
}
TEST_CASE("rank: replicate 2" * doctest::skip()) {
  equals_one_process<golden::gqa, Plan{.replicate = 2}>("llama3_gqa", 1e-5);
}
TEST_CASE("rank: fsdp 2 tensor 2 float64" * doctest::skip()) {
  equals_one_process<golden::gqa_scaled_f64, Plan{.shard = rest, .tensor = 2}>("llama3_gqa_scaled_f64", 1e-10);
}
TEST_CASE("rank: experts fsdp 2" * doctest::skip()) {
  equals_one_process<golden::top1, Plan{.shard = rest}>("llama4_top1_perturbed", 1e-5);
}
TEST_CASE("rank: experts fsdp 2 float64" * doctest::skip()) {
  equals_one_process<golden::top1_f64, Plan{.shard = 2}>("llama4_top1_f64", 1e-10);
}
TEST_CASE("rank: experts replicate 2" * doctest::skip()) {
  equals_one_process<golden::top1, Plan{.replicate = 2}>("llama4_top1_perturbed", 1e-5);
}

// Biases, norms and masks of attention.
TEST_CASE("rank: biases tensor 2" * doctest::skip()) {
  equals_one_process<golden::qwen2, Plan{.tensor = 2}>("hf_qwen2_attention", 1e-5);
}
TEST_CASE("rank: norms of heads tensor 2" * doctest::skip()) {
  equals_one_process<golden::qwen3, Plan{.tensor = 2}>("hf_qwen3_attention", 1e-5);
}
TEST_CASE("rank: masks fsdp 2 tensor 2" * doctest::skip()) {
  equals_one_process<golden::llama4, Plan{.shard = 2, .tensor = 2}>("hf_llama4_attention", 1e-5);
}

// A table that is read first and last, norms outside the blocks, documents.
TEST_CASE("rank: tied fsdp 2" * doctest::skip()) {
  equals_one_process<golden::mup_tied, Plan{.shard = rest}>("mup_tied", 1e-5);
}
TEST_CASE("rank: tied fsdp 2 tensor 2 float64" * doctest::skip()) {
  equals_one_process<with(golden::mup_tied, Float64{}), Plan{.shard = rest, .tensor = 2}>("mup_tied", 1e-10);
}

TEST_CASE("every gradient under a plan equals one process's") {
  SUBCASE("fsdp") { processes::run("rank: fsdp 2", 2); }
  SUBCASE("fsdp in float64") { processes::run("rank: fsdp 2 float64", 2); }
  SUBCASE("tensor") { processes::run("rank: tensor 2", 2); }
  SUBCASE("tensor in float64") { processes::run("rank: tensor 2 float64", 2); }
  SUBCASE("replicate") { processes::run("rank: replicate 2", 2); }
  SUBCASE("experts under fsdp") { processes::run("rank: experts fsdp 2", 2); }
  SUBCASE("experts under fsdp in float64") { processes::run("rank: experts fsdp 2 float64", 2); }
  SUBCASE("experts replicated") { processes::run("rank: experts replicate 2", 2); }
  SUBCASE("biases under tensor") { processes::run("rank: biases tensor 2", 2); }
  SUBCASE("norms of heads under tensor") { processes::run("rank: norms of heads tensor 2", 2); }
  SUBCASE("masks under fsdp and tensor") { processes::run("rank: masks fsdp 2 tensor 2", 4); }
  SUBCASE("tied under fsdp") { processes::run("rank: tied fsdp 2", 2); }
  SUBCASE("tied under fsdp and tensor in float64") { processes::run("rank: tied fsdp 2 tensor 2 float64", 4); }
  SUBCASE("fsdp and tensor in float64") { processes::run("rank: fsdp 2 tensor 2 float64", 4); }
}

TEST_CASE("a plan that does not fit the launch says so") {
  CHECK_THROWS_WITH_AS(join(Plan{.shard = 2}, Launch{}), doctest::Contains("does not fit 1 process"), LaunchError);
}
