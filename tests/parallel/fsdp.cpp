// SPDX-License-Identifier: Apache-2.0
#include "lierne/parallel/fsdp.hpp"

#include "lierne/nn/init.hpp"
#include "lierne/tensor/storage.hpp"
#include "lierne/parallel/parallelise.hpp"
#include "nn/golden_model.hpp"
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

// Sizes that neither 2 nor 3 ranks divide; wk and wv have two rows, fewer than three ranks.
constexpr Decoder odd{.layers = 3,
                      .width = 10,
                      .vocab = 11,
                      .mixer = Attention{.heads = 5, .kv_heads = 1},
                      .channel = SwiGlu{.hidden = 7},
                      .precision = Float64{}};
constexpr auto odd_bf16 = with(odd, BFloat16{});

/// Two rows for each of `ranks`, and their labels, some of them ignored.
std::pair<Tensor, Tensor> batch(int ranks) {
  auto const ids = at::arange(2 * ranks * 7, at::TensorOptions().dtype(int64)).square().remainder(11).view({2 * ranks, 7});
  auto labels = ids.narrow(1, 1, 6).clone();
  labels.narrow(1, 2, 1).narrow(0, 0, 1).fill_(ignored_label);
  return {ids.narrow(1, 0, 6), labels};
}

/// Gradients of one process on some rows of the batch.
template <auto spec>
std::map<std::string, Tensor> alone(Tensor const& tokens, Tensor const& labels, double count) {
  Model<spec> model;
  model.init({.seed = 8});
  backward(model.loss(tokens, labels, count));
  std::map<std::string, Tensor> gradients;
  model.walk([&](std::string const& name, Parameter& p) { gradients[name] = p.owned.grad(); });
  return gradients;
}

/// Watches what is gathered, and when it is let go.
struct Spy : Fsdp {
  using Fsdp::Fsdp;
  struct Gathered {
    std::string unit;
    Tensor tensor;
    std::int64_t version;
  };
  std::vector<Gathered> gathered;
  int backwards = 0;

  /// All but the unit's own are freed, its own are there.
  bool alone_is_whole(std::string const& unit) const {
    bool holds = true;
    for (auto const& g : gathered) holds = holds && storage_is_free(g.tensor) == (g.unit != unit);
    return holds;
  }
  void materialise(Unit const& unit) override {
    Fsdp::materialise(unit);
    for (auto const* p : unit.parameters) {
      auto const seen = p->materialised.detach();  // shares storage and version
      CHECK(seen.sizes() == at::IntArrayRef(p->shape));
      gathered.push_back({unit.name, seen, seen._version()});
    }
    CHECK(alone_is_whole(unit.name));
  }
  Tensor release(Unit const& unit, Tensor output) override {
    auto released = Fsdp::release(unit, std::move(output));
    if (unit.last) return released;
    CHECK(alone_is_whole("none"));
    released.register_hook([this, name = unit.name](Tensor const& gradient) {
      CHECK(alone_is_whole(name));
      ++backwards;
      return gradient;
    });
    return released;
  }
};

template <auto spec>
void micro_batches_equal_one_process() {
  auto const launch = Launch::from_environment();
  auto const [tokens, labels] = batch(launch.world);
  auto const count = static_cast<double>(valid_labels(labels));
  Mesh const mesh = join(Plan{.shard = rest}, launch);
  Model<spec> model;
  auto owner = std::make_unique<Spy>(mesh, Model<spec>::compute);
  auto& spy = *owner;
  model.materialise_by(std::move(owner));
  model.init({.seed = 8}, mesh);
  for (int micro = 0; micro < 2; ++micro) {
    int const row = 2 * launch.rank + micro;
    backward(model.loss(tokens.narrow(0, row, 1), labels.narrow(0, row, 1), count));
    CHECK(spy.alone_is_whole("none"));
    for (auto const& g : spy.gathered) CHECK(g.tensor._version() == g.version);
    CHECK(spy.backwards == 4 * (micro + 1));  // the embedding and three blocks
    spy.gathered.clear();
  }
  auto const expected = alone<spec>(tokens, labels, count);
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    REQUIRE(p.owned.grad().defined());
    auto const part = lierne::detail::narrow_to(expected.at(name), p.box);
    REQUIRE(p.owned.grad().sizes() == part.sizes());
    if (part.numel() > 0) CHECK((p.owned.grad() - part).abs().max().template item<double>() <= 1e-13);
  });
}

}  // namespace

TEST_CASE("rank: a model with odd sizes" * doctest::skip()) { micro_batches_equal_one_process<odd>(); }

TEST_CASE("rank: bfloat16 products and float32 sums" * doctest::skip()) {
  auto const launch = Launch::from_environment();
  REQUIRE(launch.world == 2);
  auto const [tokens, labels] = batch(2);
  auto const count = static_cast<double>(valid_labels(labels));
  Mesh const mesh = join(Plan{.shard = 2}, launch);
  Model<odd_bf16> model;
  parallelise(model, mesh);
  model.init({.seed = 8}, mesh);
  backward(model.loss(tokens.narrow(0, 2 * launch.rank, 2), labels.narrow(0, 2 * launch.rank, 2), count));
  auto const first = alone<odd_bf16>(tokens.narrow(0, 0, 2), labels.narrow(0, 0, 2), count);
  auto const second = alone<odd_bf16>(tokens.narrow(0, 2, 2), labels.narrow(0, 2, 2), count);
  bool a_narrow_sum_differs = false;
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    auto const part = [&](Tensor const& whole) { return lierne::detail::narrow_to(whole, p.box); };
    CHECK((p.owned.grad().scalar_type() == float32));
    CHECK(p.owned.grad().equal(part(first.at(name) + second.at(name))));
    auto const narrow = (first.at(name).to(bfloat16) + second.at(name).to(bfloat16)).to(float32);
    a_narrow_sum_differs = a_narrow_sum_differs || !p.owned.grad().equal(part(narrow));
  });
  CHECK(a_narrow_sum_differs);
}

TEST_CASE("rank: a model without gradients" * doctest::skip()) {
  auto const launch = Launch::from_environment();
  auto const [tokens, labels] = batch(launch.world);
  Mesh const mesh = join(Plan{.shard = rest}, launch);
  Model<odd> model, whole;
  parallelise(model, mesh);
  model.init({.seed = 8}, mesh);
  whole.init({.seed = 8});
  for (int pass = 0; pass < 2; ++pass) {
    {
      NoGrad guard;
      CHECK((model.forward(tokens) - whole.forward(tokens)).abs().max().item<double>() <= 1e-13);
    }
    // A training step between two evaluations.
    backward(model.loss(tokens, labels, 1));
  }
  // A forward pass whose loss nobody uses leaves nothing behind.
  model.loss(tokens, labels, 1);
  NoGrad guard;
  CHECK((model.forward(tokens) - whole.forward(tokens)).abs().max().item<double>() <= 1e-13);
}

TEST_CASE("rank: without parallelise" * doctest::skip()) {
  Mesh const mesh = join(Plan{.shard = 2}, Launch::from_environment());
  Model<odd> model;
  CHECK_THROWS_WITH_AS(model.init({}, mesh), doctest::Contains("use parallelise(model, mesh)"), LaunchError);
  Model<golden::gqa, Plan{.tensor = 2}> other;
  CHECK_THROWS_WITH_AS(other.init({}, mesh), doctest::Contains("built for tensor degree 2, the mesh has 1"), LaunchError);
  // Nor may a model that has run alone go on with the shards of a mesh.
  model.init();
  CHECK_THROWS_WITH_AS(model.init({}, mesh), doctest::Contains("use parallelise(model, mesh)"), LaunchError);
}

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

TEST_CASE("a model gathers one unit at a time and has the gradients of one process") {
  SUBCASE("2 ranks") { processes::run("rank: a model with odd sizes", 2); }
  SUBCASE("3 ranks") { processes::run("rank: a model with odd sizes", 3); }
}

TEST_CASE("gradients of bfloat16 products are summed in float32") {
  processes::run("rank: bfloat16 products and float32 sums", 2);
}

TEST_CASE("a model can be evaluated between steps") { processes::run("rank: a model without gradients", 2); }

TEST_CASE("a model that nobody gathers is refused") {
  processes::run("rank: without parallelise", 2);
}
