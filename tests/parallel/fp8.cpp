// SPDX-License-Identifier: Apache-2.0
// Products in eight bits under plans: scales are those of what a rank holds, and the errors against float64 are no larger
// for it than those of one process.
#include "lierne/nn/fp8.hpp"

#include "lierne/parallel/parallelise.hpp"
#include "lierne/tensor/generator.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

constexpr Decoder spec{.layers = 3,
                       .width = 64,
                       .vocab = 96,
                       .mixer = Attention{.heads = 4, .kv_heads = 2},
                       .channel = SwiGlu{.hidden = 96},
                       .precision = Fp8{}};

/// Experts whose choices hang on no rank's place in the batch: each token goes to all of them.
constexpr auto sparse = with(spec, every<3>(Moe{.experts = 2, .top_k = 2, .hidden = 48}, SwiGlu{.hidden = 96}));

struct Batch {
  Tensor tokens, labels;
};
Batch batch() {
  auto const ids = at::randint(96, {8, 17}, make_generator(5), at::TensorOptions().dtype(int64));
  return {ids.narrow(1, 0, 16), ids.narrow(1, 1, 16)};
}

template <auto policy, Plan plan>
std::map<std::string, Tensor> gradients(Mesh const& mesh) {
  auto const [tokens, labels] = batch();
  Model<policy, plan> model;
  parallelise(model, mesh);
  model.init({.seed = 3}, mesh);
  auto const rows = 8 / mesh.data_world();
  backward(model.loss(tokens.narrow(0, mesh.data_rank() * rows, rows), labels.narrow(0, mesh.data_rank() * rows, rows), 128));
  sum_gradients(model.parameters(), mesh);
  std::map<std::string, Tensor> all;
  model.walk([&](std::string const& name, Parameter& p) { all[name] = p.owned.grad(); });
  return all;
}

/// ‖found − exact‖ / ‖exact‖ over all parameters, of this rank's parts.
double error(std::map<std::string, Tensor> const& found, std::map<std::string, Tensor> const& exact) {
  double wrong = 0, whole = 0;
  for (auto const& [name, gradient] : exact) {
    wrong += (found.at(name).to(float64) - gradient).square().sum().item<double>();
    whole += gradient.square().sum().item<double>();
  }
  return std::sqrt(wrong / whole);
}

template <Plan plan, auto policy = spec>
void errors_are_those_of_one_process() {
  Mesh const mesh = join(plan, Launch::from_environment());
  auto const exact = gradients<with(policy, Float64{}), Plan{}>(Mesh{});
  auto const alone = gradients<policy, Plan{}>(Mesh{});
  std::map<std::string, Tensor> part;
  Model<policy, plan> model;
  model.walk([&](std::string const& name, Parameter& p) {
    p.name = name;
    part[name] = lierne::detail::narrow_to(exact.at(name), lierne::detail::owned_box(p, mesh));
  });
  auto const ours = error(gradients<policy, plan>(mesh), part), one = error(alone, exact);
  MESSAGE("error ", ours, ", of one process ", one);
  CHECK(one >= 0.01);  // it is eight bits that are measured
  CHECK(ours <= 1.25 * one);
}

}  // namespace

TEST_CASE("rank: fp8 under fsdp 2" * doctest::skip()) { errors_are_those_of_one_process<Plan{.shard = 2}>(); }
TEST_CASE("rank: fp8 experts under fsdp 2" * doctest::skip()) {
  errors_are_those_of_one_process<Plan{.shard = 2}, sparse>();
}
TEST_CASE("rank: fp8 under tensor 2" * doctest::skip()) { errors_are_those_of_one_process<Plan{.tensor = 2}>(); }
TEST_CASE("rank: fp8 sizes on a rank" * doctest::skip()) {
  Mesh const mesh = join(Plan{.tensor = 2}, Launch::from_environment());
  Model<with(spec, SwiGlu{.hidden = 80}), Plan{.tensor = 2}> model;
  CHECK_THROWS_WITH_AS(model.init({}, mesh), doctest::Contains("feed_forward.w1: expected sizes on one rank that are multiples of 16, found [40, 64]"),
                       ShapeError);
}

TEST_CASE("fp8 under a plan errs no more than alone") {
  SUBCASE("fsdp") { processes::run("rank: fp8 under fsdp 2", 2); }
  SUBCASE("experts") { processes::run("rank: fp8 experts under fsdp 2", 2); }
  SUBCASE("tensor") { processes::run("rank: fp8 under tensor 2", 2); }
}

TEST_CASE("sizes are asked of what a rank holds") { processes::run("rank: fp8 sizes on a rank", 2); }
