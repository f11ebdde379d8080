// SPDX-License-Identifier: Apache-2.0
// A user's own layer (example 03), which knows nothing of parallelism, under every plan.
#include "../../examples/03_own_layer.hpp"

#include "lierne/parallel/parallelise.hpp"
#include "lierne/tensor/generator.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

constexpr Decoder averager{.layers = 3,
                           .width = 16,
                           .vocab = 32,
                           .mixer = every<2>(Attention{.heads = 2}, DecayedAverage{}),
                           .channel = SwiGlu{.hidden = 24},
                           .precision = Float64{}};
static_assert(parameters(averager).mixer == 2 * (16 * 16 + 16) + 4 * 16 * 16);

std::pair<Tensor, Tensor> batch() {
  auto const ids = at::randint(32, {4, 9}, make_generator(5), at::TensorOptions().dtype(int64));
  return {ids.narrow(1, 0, 8), ids.narrow(1, 1, 8)};
}

template <Plan plan>
void equals_one_process() {
  auto const [tokens, labels] = batch();
  auto const count = static_cast<double>(labels.numel());
  Model<averager> alone;
  alone.init({.seed = 3});
  backward(alone.loss(tokens, labels, count));
  std::map<std::string, Tensor> expected;
  alone.walk([&](std::string const& name, Parameter& p) { expected[name] = p.owned.grad(); });

  Mesh const mesh = join(plan, Launch::from_environment());
  Model<averager, plan> model;
  parallelise(model, mesh);
  model.init({.seed = 3}, mesh);
  auto const rows = 4 / mesh.data_world();
  backward(model.loss(tokens.narrow(0, mesh.data_rank() * rows, rows), labels.narrow(0, mesh.data_rank() * rows, rows),
                      count));
  sum_gradients(model.parameters(), mesh);
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    REQUIRE(p.owned.grad().defined());
    CHECK(golden::relative(p.owned.grad(), lierne::detail::narrow_to(expected.at(name), p.box)) <= 1e-10);
    if (p.tensor_dim != Parameter::whole) return;
    auto first = p.owned.grad().clone();
    mesh[Axis::tensor].broadcast(first);
    CHECK(first.equal(p.owned.grad()));
  });
}

}  // namespace

TEST_CASE("rank: own layer under tensor 2" * doctest::skip()) { equals_one_process<Plan{.tensor = 2}>(); }
TEST_CASE("rank: own layer under fsdp 2" * doctest::skip()) { equals_one_process<Plan{.shard = 2}>(); }
TEST_CASE("rank: own layer under fsdp 2 tensor 2" * doctest::skip()) {
  equals_one_process<Plan{.shard = 2, .tensor = 2}>();
}

TEST_CASE("a user's own layer has the gradients of one process under every plan") {
  SUBCASE("tensor") { processes::run("rank: own layer under tensor 2", 2); }
  SUBCASE("fsdp") { processes::run("rank: own layer under fsdp 2", 2); }
  SUBCASE("both") { processes::run("rank: own layer under fsdp 2 tensor 2", 4); }
}
