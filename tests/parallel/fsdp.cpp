// SPDX-License-Identifier: Apache-2.0
#include "lierne/parallel/fsdp.hpp"

#include "lierne/nn/init.hpp"
#include "lierne/tensor/storage.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

struct Small {
  Parameter weight{.shape = {5, 3}, .initial = Initial::normal(1)};
  Parameter scale{.shape = {2}, .initial = Initial::normal(1), .read_as = ReadAs::master};
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("scale", self.scale);
  }
};

Tensor input(int seed) { return at::arange(6, at::TensorOptions().dtype(float32)).reshape({2, 3}) / (3.0 + seed); }
Tensor output(Small const& module, Tensor const& x) {
  return at::linear(x, module.weight().to(float32)).narrow(1, 0, 2) * module.scale();
}

/// Gradients of one process on all ranks' inputs, `passes` times.
std::pair<Tensor, Tensor> alone(int ranks, int passes, Dtype compute) {
  Small module;
  init(module, {.seed = 3}, Mesh{}, float32);
  Unit const unit{.name = "small", .parameters = parameters_of(module)};
  CastMaterialiser cast(compute);
  for (int k = 0; k < passes * ranks; ++k) {
    cast.materialise(unit);
    backward(cast.release(unit, output(module, input(k))).square().sum());
  }
  return {module.weight.owned.grad(), module.scale.owned.grad()};
}

void check_rank(Dtype compute, double bound) {
  auto const launch = Launch::from_environment();
  Mesh const mesh = join(Plan{.shard = rest}, launch);
  Small module;
  init(module, {.seed = 3}, mesh, float32);
  Unit const unit{.name = "small", .parameters = parameters_of(module)};
  Fsdp fsdp(mesh, compute);
  for (int pass = 0; pass < 2; ++pass) {
    fsdp.materialise(unit);
    auto const weight = module.weight();
    auto const version = weight._version();
    CHECK((weight.scalar_type() == compute));
    CHECK((module.scale().scalar_type() == float32));
    CHECK(weight.sizes() == at::IntArrayRef({5, 3}));
    auto const y = fsdp.release(unit, output(module, input(pass * launch.world + launch.rank)));
    // Between forward and backward the gathered weight takes no memory, and the graph does not see that.
    CHECK(storage_is_free(weight));
    CHECK_THROWS_AS(module.weight(), ArgumentError);
    backward(y.square().sum());
    CHECK(storage_is_free(weight));
    CHECK(weight._version() == version);
  }
  auto const [weight, scale] = alone(launch.world, 2, compute);
  auto const close = [&](Tensor const& mine, Tensor const& whole, Box const& box) {
    REQUIRE(mine.defined());
    auto const expected = lierne::detail::narrow_to(whole, box);
    CHECK(mine.sizes() == expected.sizes());
    if (mine.numel() > 0) CHECK((mine - expected).abs().max().item<double>() <= bound * whole.abs().max().item<double>());
  };
  close(module.weight.owned.grad(), weight, module.weight.box);
  close(module.scale.owned.grad(), scale, module.scale.box);
}

}  // namespace

// 5 rows over 2 and 3 ranks, and 2 rows over 3: uneven and empty parts.
TEST_CASE("rank: a unit in float32" * doctest::skip()) { check_rank(float32, 1e-6); }
TEST_CASE("rank: a unit in bfloat16" * doctest::skip()) { check_rank(bfloat16, 1e-6); }
TEST_CASE("rank: evaluation" * doctest::skip()) {
  Mesh const mesh = join(Plan{.shard = rest}, Launch::from_environment());
  Small module;
  init(module, {.seed = 3}, mesh, float32);
  Small whole;
  init(whole, {.seed = 3}, Mesh{}, float32);
  Unit const unit{.name = "small", .parameters = parameters_of(module)};
  Fsdp fsdp(mesh, float32);
  NoGrad guard;
  fsdp.materialise(unit);
  CHECK(module.weight().equal(whole.weight.owned));
  auto const y = fsdp.release(unit, output(module, input(0)));
  CHECK_FALSE(y.requires_grad());
}

TEST_CASE("a sharded unit has the gradients of one process, over two micro-batches") {
  SUBCASE("2 ranks") { processes::run("rank: a unit in float32", 2); }
  SUBCASE("3 ranks") { processes::run("rank: a unit in float32", 3); }
  SUBCASE("bfloat16") { processes::run("rank: a unit in bfloat16", 2); }
}

TEST_CASE("without gradients a unit is gathered and let go") { processes::run("rank: evaluation", 2); }
