// SPDX-License-Identifier: Apache-2.0
// The comparison with one process notices the faults it is there for: each is planted here, and the loss alone would
// not show it.
#include "lierne/parallel/parallelise.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

constexpr auto spec = golden::gqa_scaled_f64;
constexpr double bound = 1e-10;  // what the comparison allows

/// Gathers with redistribute: a second way to shard, for rows that the ranks divide.
template <class To>
struct GatherEach : Materialiser {
  explicit GatherEach(Mesh const& mesh) : mesh(&mesh) {}
  void materialise(Unit const& unit) override {
    for (auto* p : unit.parameters) {
      p->materialised = redistribute<To>(Placed<Sharded<0>>{p->owned}, (*mesh)[Axis::shard]).local;
    }
  }
  Tensor release(Unit const& unit, Tensor output) override {
    for (auto* p : unit.parameters) p->materialised = Tensor();
    return output;
  }
  Mesh const* mesh;
};

struct Outcome {
  double loss_error;                        ///< of the sum over data ranks, relative
  std::map<std::string, double> gradients;  ///< relative error of this rank's part
  std::map<std::string, bool> spread;       ///< whether tensor ranks differ where they should agree
};

/// Runs the fixture's batch under a plan; `prepare` chooses who gathers, `finish` ends the step.
template <Plan plan, class Prepare, class Finish>
Outcome run(Prepare prepare, Finish finish) {
  auto const file = SafeTensors::open(golden::path("llama3_gqa_scaled_f64"));
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  auto const count = static_cast<double>(valid_labels(labels));
  Mesh const mesh = join(plan, Launch::from_environment());
  Model<spec, plan> model;
  prepare(model, mesh);
  model.init({}, mesh);
  golden::load(model, file);
  auto const rows = tokens.size(0) / mesh.data_world();
  auto const loss = model.loss(tokens.narrow(0, mesh.data_rank() * rows, rows),
                               labels.narrow(0, mesh.data_rank() * rows, rows), count);
  backward(loss);
  finish(model, mesh);
  Outcome outcome;
  auto total = loss.detach().clone();
  mesh[Axis::shard].sum(total);
  mesh[Axis::replicate].sum(total);
  outcome.loss_error = std::abs(total.template item<double>() / file.tensor("losses")[0].template item<double>() - 1);
  model.walk([&](std::string const& name, Parameter& p) {
    auto const expected = lierne::detail::narrow_to(file.tensor("g0/" + name), p.box);
    outcome.gradients[name] = golden::relative(p.owned.grad(), expected);
    auto first = p.owned.grad().clone();
    mesh[Axis::tensor].broadcast(first);
    auto differs = at::full({1}, p.tensor_dim == Parameter::whole && !first.equal(p.owned.grad()) ? 1.0 : 0.0);
    mesh[Axis::tensor].sum(differs);
    outcome.spread[name] = differs.item<float>() > 0;
  });
  REQUIRE(outcome.gradients.size() == 30);
  return outcome;
}

auto const usual = [](auto& model, Mesh const& mesh) { parallelise(model, mesh); };
auto const sums = [](auto& model, Mesh const& mesh) { sum_gradients(model.parameters(), mesh); };

bool is_norm(std::string const& name) { return name.ends_with("norm.weight"); }

}  // namespace

TEST_CASE("rank: no fault" * doctest::skip()) {
  auto const outcome = run<Plan{.tensor = 2}>(usual, sums);
  for (auto const& [name, error] : outcome.gradients) CHECK(error <= bound);
  for (auto const& [name, differs] : outcome.spread) CHECK_FALSE(differs);
}

TEST_CASE("rank: gradients that nobody sums" * doctest::skip()) {
  auto const outcome = run<Plan{.tensor = 2}>(usual, [](auto&, Mesh const&) {});
  CHECK(outcome.loss_error <= 1e-12);
  for (auto const& [name, error] : outcome.gradients) {
    CAPTURE(name);
    if (is_norm(name)) {
      CHECK(error > 0.1);  // each rank has its own half of the sequence
      CHECK(outcome.spread.at(name));
    } else {
      CHECK(error <= bound);
    }
  }
}

TEST_CASE("rank: gradients summed twice" * doctest::skip()) {
  auto const outcome = run<Plan{.tensor = 2}>(usual, [](auto& model, Mesh const& mesh) {
    sums(model, mesh);
    sums(model, mesh);
  });
  CHECK(outcome.loss_error <= 1e-12);
  for (auto const& [name, error] : outcome.gradients) {
    CAPTURE(name);
    CHECK_FALSE(outcome.spread.at(name));  // the ranks agree on a wrong value
    CHECK((error > 0.1) == is_norm(name));
  }
}

TEST_CASE("rank: another way to shard" * doctest::skip()) {
  auto const outcome = run<Plan{.shard = 2}>(
      [](auto& model, Mesh const& mesh) { model.materialise_by(std::make_unique<GatherEach<Replicated>>(mesh)); }, sums);
  CHECK(outcome.loss_error <= 1e-12);
  for (auto const& [name, error] : outcome.gradients) CHECK(error <= bound);
}

TEST_CASE("rank: shards that keep their own part" * doctest::skip()) {
  auto const outcome = run<Plan{.shard = 2}>(
      [](auto& model, Mesh const& mesh) { model.materialise_by(std::make_unique<GatherEach<Invariant>>(mesh)); }, sums);
  CHECK(outcome.loss_error <= 1e-12);
  for (auto const& [name, error] : outcome.gradients) {
    CAPTURE(name);
    CHECK(error > 0.1);  // the other rank's rows of the batch are missing
  }
}

TEST_CASE("rank: replicas that go apart" * doctest::skip()) {
  auto const outcome = run<Plan{.replicate = 2}>(usual, [](auto&, Mesh const&) {});
  CHECK(outcome.loss_error <= 1e-12);
  for (auto const& [name, error] : outcome.gradients) CHECK(error > 0.1);
}

TEST_CASE("without a fault the comparison is silent") {
  SUBCASE("tensor") { processes::run("rank: no fault", 2); }
  SUBCASE("shard by redistribute") { processes::run("rank: another way to shard", 2); }
}

TEST_CASE("a sum left out or made twice is noticed") {
  SUBCASE("left out over tensor") { processes::run("rank: gradients that nobody sums", 2); }
  SUBCASE("made twice over tensor") { processes::run("rank: gradients summed twice", 2); }
  SUBCASE("left out over shard") { processes::run("rank: shards that keep their own part", 2); }
  SUBCASE("left out over replicate") { processes::run("rank: replicas that go apart", 2); }
}
