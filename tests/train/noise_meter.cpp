// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/noise_meter.hpp"

#include "lierne/parallel/parallelise.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

constexpr Decoder spec{.layers = 2,
                       .width = 16,
                       .vocab = 24,
                       .mixer = Attention{.heads = 4, .kv_heads = 2},
                       .channel = SwiGlu{.hidden = 20},
                       .precision = Float64{}};

/// Six rows of unequal numbers of valid labels.
std::pair<Tensor, Tensor> batch() {
  auto const tokens = (at::arange(6 * 8, int64) * 7).remainder(24).view({6, 8});
  auto labels = (tokens * 5 + 1).remainder(24);
  for (std::int64_t row = 0; row < 6; ++row) labels[row].narrow(0, 0, row).fill_(ignored_label);
  return {tokens, labels};
}

std::vector<std::int64_t> const all_rows{0, 1, 2, 3, 4, 5};

/// The mean gradient over some rows alone, as one vector; and how many labels that is.
std::pair<Tensor, double> mean_gradient(std::vector<std::int64_t> const& rows) {
  auto const [tokens, labels] = batch();
  auto const index = at::tensor(rows, at::TensorOptions().dtype(int64));
  auto const mine = labels.index_select(0, index);
  Model<spec> model;
  model.init({.seed = 8});
  auto const count = static_cast<double>(valid_labels(mine));
  backward(model.loss(tokens.index_select(0, index), mine, count));
  std::vector<Tensor> flat;
  for (auto* p : model.parameters()) flat.push_back(p->owned.grad().flatten());
  return {at::cat(flat), count};
}

/// What the definition gives when the batch goes in these parts.
std::map<std::string, double> by_definition(std::vector<std::vector<std::int64_t>> const& parts) {
  auto const squared = [](Tensor const& g) { return g.square().sum().item<double>(); };
  auto const [whole, count] = mean_gradient(all_rows);
  double small = 0, inverse = 0;
  auto const n = static_cast<double>(parts.size());
  for (auto const& rows : parts) {
    auto const [gradient, examples] = mean_gradient(rows);
    small += squared(gradient) / n;
    inverse += 1 / examples / n;
  }
  double const size = 1 / inverse, large = squared(whole);
  double const signal = (count * large - size * small) / (count - size);
  double const noise = (small - large) / (1 / size - 1 / count);
  return {{"gradient_noise/scale", signal > 0 ? noise / signal : std::numeric_limits<double>::infinity()},
          {"gradient_noise/signal", signal},
          {"gradient_noise/noise", noise}};
}

void close(std::map<std::string, double> const& found, std::map<std::string, double> const& expected) {
  REQUIRE(found.size() == expected.size());
  for (auto const& [key, value] : expected) {
    CAPTURE(key);
    CHECK(found.at(key) == doctest::Approx(value).epsilon(1e-9));
  }
}

/// A measured step of this process under a plan; checks the gradients and gives the metrics.
template <Plan plan>
std::map<std::string, double> step(Mesh const& mesh, NoiseMeter& meter) {
  auto const [tokens, labels] = batch();
  auto const count = static_cast<double>(valid_labels(labels));
  auto const rows = 6 / mesh.data_world();
  auto const mine = [&](Tensor const& t) { return t.narrow(0, mesh.data_rank() * rows, rows); };
  Model<spec, plan> model;
  parallelise(model, mesh);
  model.init({.seed = 8}, mesh);
  auto const parameters = model.parameters();
  auto const loss_of = [&](Tensor const& t, Tensor const& l) { return model.loss(t, l, count); };
  meter.backward_of(mine(tokens), mine(labels), count, parameters, mesh, loss_of);

  auto const expected = mean_gradient(all_rows).first;
  std::int64_t at = 0;
  for (auto* p : parameters) {
    auto const whole = expected.narrow(0, at, elements(p->shape)).view(p->shape);
    at += whole.numel();
    CHECK(golden::relative(p->owned.grad(), lierne::detail::narrow_to(whole, p->box)) <= 1e-10);
  }
  return meter.metrics();
}

}  // namespace

TEST_CASE("a measured step has the gradients of the whole batch and the estimates of the definition") {
  NoiseMeter two({.parts = 2}), three({.parts = 3}), four({.parts = 4});
  close(step<Plan{}>(Mesh{}, two), by_definition({{0, 1, 2}, {3, 4, 5}}));
  close(step<Plan{}>(Mesh{}, three), by_definition({{0, 1}, {2, 3}, {4, 5}}));
  close(step<Plan{}>(Mesh{}, four), by_definition({{0}, {1, 2}, {3}, {4, 5}}));
  // The estimates depend on the parts, so they are not those of any other cut.
  CHECK(by_definition({{0, 1, 2}, {3, 4, 5}}).at("gradient_noise/noise") !=
        doctest::Approx(by_definition({{0, 2, 4}, {1, 3, 5}}).at("gradient_noise/noise")).epsilon(1e-3));
}

TEST_CASE("rank: noise under fsdp" * doctest::skip()) {
  NoiseMeter meter({.parts = 3});
  close(step<Plan{.shard = 2}>(join(Plan{.shard = 2}, Launch::from_environment()), meter),
        by_definition({{0, 3}, {1, 4}, {2, 5}}));
}
TEST_CASE("rank: noise under replication" * doctest::skip()) {
  NoiseMeter meter({.parts = 2});
  close(step<Plan{.replicate = 2}>(join(Plan{.replicate = 2}, Launch::from_environment()), meter),
        by_definition({{0, 3}, {1, 2, 4, 5}}));
}
TEST_CASE("rank: noise under tensor" * doctest::skip()) {
  NoiseMeter meter({.parts = 2});
  close(step<Plan{.tensor = 2}>(join(Plan{.tensor = 2}, Launch::from_environment()), meter),
        by_definition({{0, 1, 2}, {3, 4, 5}}));
}

TEST_CASE("two processes measure the noise that one does") {
  SUBCASE("fsdp") { processes::run("rank: noise under fsdp", 2); }
  SUBCASE("replicate") { processes::run("rank: noise under replication", 2); }
  SUBCASE("tensor") { processes::run("rank: noise under tensor", 2); }
}

TEST_CASE("steps are averaged and a part without labels counts for nothing") {
  NoiseMeter meter({.every = 3, .parts = 2});
  for (int finished = 0; finished < 9; ++finished) CHECK(meter.due(finished) == ((finished + 1) % 3 == 0));
  CHECK_FALSE(NoiseMeter({.every = 0}).due(0));
  auto const once = step<Plan{}>(Mesh{}, meter);
  close(step<Plan{}>(Mesh{}, meter), once);

  Model<spec> model;
  model.init({.seed = 8});
  auto const [tokens, labels] = batch();
  auto empty = labels.clone();
  empty.narrow(0, 0, 3).fill_(ignored_label);
  auto const count = static_cast<double>(valid_labels(empty));
  meter.backward_of(tokens, empty, count, model.parameters(), Mesh{},
                    [&](Tensor const& t, Tensor const& l) { return model.loss(t, l, count); });
  close(meter.metrics(), once);
}

TEST_CASE("too few parts or rows are refused") {
  CHECK_THROWS_WITH_AS(NoiseMeter({.parts = 1}), "measure_noise: expected 2 parts of a batch or more, found 1",
                       ArgumentError);
  NoiseMeter meter({.parts = 7});
  CHECK_THROWS_WITH_AS(step<Plan{}>(Mesh{}, meter),
                       doctest::Contains("expected at least 7 rows of the batch on each process, one for each part"),
                       ArgumentError);
}
