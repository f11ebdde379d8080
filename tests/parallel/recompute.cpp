// SPDX-License-Identifier: Apache-2.0
// Recomputed blocks under every plan: the second run reads the weights that are gathered for the backward pass, and the
// gradients are those of a model that keeps everything, bit for bit.
#include "lierne/nn/recompute.hpp"

#include "lierne/parallel/parallelise.hpp"
#include "lierne/tensor/generator.hpp"
#include "lierne/tensor/storage.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

constexpr Decoder plain{.layers = 4,
                        .width = 16,
                        .vocab = 32,
                        .mixer = Attention{.heads = 4, .kv_heads = 2},
                        .channel = SwiGlu{.hidden = 24},
                        .precision = Float64{}};
constexpr auto recomputed = with(plain, every<4>(NoRecompute{}, every<2>(RecomputeSelective{}, RecomputeBlock{})));
constexpr auto experts = with(plain, every<2>(Moe{.experts = 4, .top_k = 2, .hidden = 12}, SwiGlu{.hidden = 24}));

struct Batch {
  Tensor tokens, labels;
};
Batch batch() {
  auto const ids = at::randint(32, {8, 9}, make_generator(5), at::TensorOptions().dtype(int64));
  return {ids.narrow(1, 0, 8), ids.narrow(1, 1, 8)};
}

/// Remembers the gathered weights, to see when they take memory.
struct Spy : Fsdp {
  using Fsdp::Fsdp;
  TensorList gathered;

  void materialise(Unit const& unit) override {
    Fsdp::materialise(unit);
    if (!unit.name.starts_with("layers.")) return;
    for (auto const* p : unit.parameters) gathered.push_back(p->materialised.detach());
  }
  bool all_free() const {
    bool free = true;
    for (auto const& weight : gathered) free = free && storage_is_free(weight);
    return free;
  }
};

/// The gradients of two micro-batches under the plan, of this rank's parts.
template <auto spec, Plan plan>
std::map<std::string, Tensor> gradients(Mesh const& mesh) {
  auto const [tokens, labels] = batch();
  Model<spec, plan> model;
  Spy* spy = nullptr;
  if (mesh.plan().shard > 1) {
    auto owner = std::make_unique<Spy>(mesh, Model<spec, plan>::compute);
    spy = owner.get();
    model.materialise_by(std::move(owner));
  }
  model.init({.seed = 3}, mesh);
  auto const rows = 4 / mesh.data_world();
  for (int micro = 0; micro < 2; ++micro) {
    auto const first = 4 * micro + mesh.data_rank() * rows;
    auto const loss = model.loss(tokens.narrow(0, first, rows), labels.narrow(0, first, rows), 64);
    if (spy) CHECK(spy->all_free());
    backward(loss);
    if (spy) CHECK(spy->all_free());
  }
  sum_gradients(model.parameters(), mesh);
  std::map<std::string, Tensor> all;
  model.walk([&](std::string const& name, Parameter& p) {
    REQUIRE(p.owned.grad().defined());
    all[name] = p.owned.grad();
  });
  return all;
}

template <Plan plan, auto kept = plain, auto again = recomputed>
void equals_the_plain_model() {
  Mesh const mesh = join(plan, Launch::from_environment());
  auto const expected = gradients<kept, plan>(mesh);
  auto const found = gradients<again, plan>(mesh);
  auto const alone = gradients<kept, Plan{}>(Mesh{});
  Model<kept, plan> model;
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    CHECK(found.at(name).equal(expected.at(name)));
    // And they are right, not only alike.
    p.name = name;
    auto const part = lierne::detail::narrow_to(alone.at(name), lierne::detail::owned_box(p, mesh));
    CHECK(golden::relative(found.at(name), part) <= 1e-10);
  });
}

template <auto spec>
void evaluates_between_steps() {
  Mesh const mesh = join(Plan{.shard = 2}, Launch::from_environment());
  auto const [tokens, labels] = batch();
  Model<spec> model, whole;
  parallelise(model, mesh);
  model.init({.seed = 3}, mesh);
  whole.init({.seed = 3});
  for (int pass = 0; pass < 2; ++pass) {
    {
      NoGrad guard;
      CHECK((model.forward(tokens) - whole.forward(tokens)).abs().max().template item<double>() <= 1e-13);
    }
    backward(model.loss(tokens, labels, 1));
    model.loss(tokens, labels, 1);  // a loss that nobody uses
  }
}

}  // namespace

TEST_CASE("rank: recompute under fsdp 2" * doctest::skip()) { equals_the_plain_model<Plan{.shard = 2}>(); }
TEST_CASE("rank: recompute under tensor 2" * doctest::skip()) { equals_the_plain_model<Plan{.tensor = 2}>(); }
TEST_CASE("rank: recompute under fsdp 2 tensor 2" * doctest::skip()) {
  equals_the_plain_model<Plan{.shard = 2, .tensor = 2}>();
}
TEST_CASE("rank: recompute experts under fsdp 2" * doctest::skip()) {
  equals_the_plain_model<Plan{.shard = 2}, experts, with(experts, RecomputeSelective{})>();
}
TEST_CASE("rank: recompute and evaluation" * doctest::skip()) { evaluates_between_steps<recomputed>(); }

TEST_CASE("recomputed blocks have the gradients of plain ones under every plan") {
  SUBCASE("fsdp") { processes::run("rank: recompute under fsdp 2", 2); }
  SUBCASE("tensor") { processes::run("rank: recompute under tensor 2", 2); }
  SUBCASE("experts") { processes::run("rank: recompute experts under fsdp 2", 2); }
  SUBCASE("both") { processes::run("rank: recompute under fsdp 2 tensor 2", 4); }
}

TEST_CASE("recomputed blocks can be evaluated between steps, and forgotten") {
  processes::run("rank: recompute and evaluation", 2);
}
