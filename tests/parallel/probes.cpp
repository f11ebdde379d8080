// SPDX-License-Identifier: Apache-2.0
// Probes and the monitor under plans: what ranks measure together is what one process measures, after one reduction.
#include "lierne/nn/probes.hpp"

#include "lierne/optim/optim.hpp"
#include "lierne/parallel/parallelise.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

constexpr auto spec = golden::gqa_scaled_f64;
using Metrics = std::map<std::string, double>;
using Everything = Probes<ActivationRms, ActivationMax, ActivationKurtosis, AttentionLogitMax>;

/// What one process, or this rank of a plan, measures on the fixture's batch.
struct Measured {
  Metrics probes;
  Metrics monitor;
  int reductions = 0;  // of the monitor
};

/// As the trainer's: sums are added, maxima compared, over all ranks.
void reduce(Mesh const& mesh, std::span<double> sums, std::span<double> maxima) {
  auto const of = [](std::span<double> values) {
    return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::TensorOptions().dtype(float64));
  };
  mesh.all().sum(of(sums));
  of(maxima).copy_(mesh.all().gather(of(maxima).clone().unsqueeze(0)).amax(0));
}

auto rule(bool only_global) {
  return clip_norm(0.5) | adopt({.rate = 1e-3}) | decay(0.1, times_rate) |
         monitor({.every = 2, .only_global = only_global});
}

/// Three steps, the second of which is measured; `wrong` may spoil what the slots say, or the reduction.
template <Plan plan>
Measured measure(Mesh const& mesh, bool only_global, std::function<void(Slot&)> const& spoil_slot = {},
                 bool skips_reduction = false) {
  auto const file = SafeTensors::open(golden::path("llama3_gqa_scaled_f64"));
  auto const tokens = file.tensor("tokens"), labels = file.tensor("labels");
  auto const count = static_cast<double>(valid_labels(labels));
  auto const rows = tokens.size(0) / mesh.data_world();
  auto const mine = [&](Tensor const& t) { return t.narrow(0, mesh.data_rank() * rows, rows); };
  auto model = Model<spec, plan>{} | Everything({.every = 2});
  parallelise(model, mesh);
  model.init({}, mesh);
  golden::load(model, file);
  auto const parameters = model.parameters();
  std::vector<Slot> slots;
  for (auto* p : parameters) {
    slots.push_back({.name = p->name, .weight = p->owned, .counted = counted(*p, mesh), .shape = p->shape});
    if (spoil_slot) spoil_slot(slots.back());
  }
  auto const optimizer = bind(rule(only_global));
  Measured measured;
  for (int k = 0; k < 3; ++k) {
    bool const due = model.probes().due(k);
    auto const ids = mine(tokens), next = mine(labels);
    backward(due ? model.loss(ids, next, count, model.probes()) : model.loss(ids, next, count));
    sum_gradients(parameters, mesh);
    auto const sum = [&](double value) {
      auto const all = at::full({1}, value, at::TensorOptions().dtype(float64));
      mesh.all().sum(all);
      return all.template item<double>();
    };
    auto const reduction = [&](std::span<double> sums, std::span<double> maxima) {
      ++measured.reductions;
      if (!skips_reduction) reduce(mesh, sums, maxima);
    };
    auto report = optimizer->step(slots, {.step = k, .sum_over_ranks = sum, .reduce_over_ranks = reduction});
    if (!skips_reduction) CHECK(report.metrics.empty() == !due);
    if (due) measured.monitor = std::move(report.metrics);
    auto const probed = model.probes().metrics(skips_reduction ? Group{} : mesh.all());
    CHECK(probed.empty() == !due);
    if (due) measured.probes = probed;
  }
  return measured;
}

/// The largest relative difference; infinite where the keys differ.
double difference(Metrics const& a, Metrics const& b) {
  if (a.size() != b.size()) return 1e300;
  double worst = 0;
  for (auto const& [key, value] : b) {
    if (!a.contains(key)) return 1e300;
    worst = std::max(worst, std::abs(a.at(key) - value) / std::max(std::abs(value), 1e-3));
  }
  return worst;
}

constexpr double bound = 1e-9;

template <Plan plan>
void measures_as_one_process() {
  Mesh const mesh = join(plan, Launch::from_environment());
  for (bool const only_global : {false, true}) {
    auto const found = measure<plan>(mesh, only_global);
    auto const expected = measure<Plan{}>(Mesh{}, only_global);
    CHECK(expected.probes.size() == 3 * (2 + 3 * 3) + 3);
    CHECK(expected.monitor.size() == (only_global ? 9 : 9 * 31));
    CHECK(difference(found.probes, expected.probes) <= bound);
    CHECK(difference(found.monitor, expected.monitor) <= bound);
    CHECK(found.reductions == 1);
    // Every rank has the same bits.
    for (auto const* metrics : {&found.probes, &found.monitor}) {
      std::vector<double> values;
      for (auto const& [key, value] : *metrics) values.push_back(value);
      auto const own = at::tensor(values, at::TensorOptions().dtype(float64));
      auto const first = own.clone();
      mesh.all().broadcast(first);
      CHECK(first.equal(own));
    }
  }
}

}  // namespace

TEST_CASE("rank: measures under fsdp" * doctest::skip()) { measures_as_one_process<Plan{.shard = rest}>(); }
TEST_CASE("rank: measures under replication" * doctest::skip()) { measures_as_one_process<Plan{.replicate = rest}>(); }
TEST_CASE("rank: measures under tensor" * doctest::skip()) { measures_as_one_process<Plan{.tensor = 2}>(); }

TEST_CASE("rank: faults in what is measured" * doctest::skip()) {
  Mesh const mesh = join(Plan{.replicate = 2}, Launch::from_environment());
  auto const expected = measure<Plan{}>(Mesh{}, false);
  CHECK(difference(measure<Plan{.replicate = 2}>(mesh, false).monitor, expected.monitor) <= bound);
  // Replicas that both count themselves.
  auto const twice = measure<Plan{.replicate = 2}>(mesh, false, [](Slot& slot) { slot.counted = true; });
  CHECK(difference(twice.monitor, expected.monitor) > 1e-3);
  // One parameter that nobody counts.
  auto const missing = measure<Plan{.replicate = 2}>(mesh, false, [](Slot& slot) {
    if (slot.name == "norm.weight") slot.counted = false;
  });
  CHECK(difference(missing.monitor, expected.monitor) > 1e-3);
  // No reduction: rank 1 counts nothing of its own, and rank 0 all that there is under replication alone.
  auto const alone = measure<Plan{.replicate = 2}>(mesh, false, {}, true);
  CHECK((difference(alone.monitor, expected.monitor) > 1e-3) == (mesh.rank() == 1));
  CHECK(difference(alone.probes, expected.probes) > 1e-3);
}

TEST_CASE("two processes measure what one does") {
  SUBCASE("fsdp") { processes::run("rank: measures under fsdp", 2); }
  SUBCASE("replicate") { processes::run("rank: measures under replication", 2); }
  SUBCASE("tensor") { processes::run("rank: measures under tensor", 2); }
}

TEST_CASE("the comparison sees what is counted twice or not at all") {
  processes::run("rank: faults in what is measured", 2);
}
