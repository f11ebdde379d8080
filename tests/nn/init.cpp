// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/init.hpp"

#include <ATen/Version.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "lierne/core/random.hpp"
#include "lierne/tensor/parallel_for.hpp"
#include "nn/golden_model.hpp"
#include "processes.hpp"

using namespace lierne;

namespace {

struct One {
  Parameter weight;
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

/// A lone parameter's first values.
Tensor draw(Shape const& shape, Initial initial, InitOptions const& options = {}, Dtype master = float32) {
  One module{{.shape = shape, .initial = initial}};
  init(module, options, Mesh{}, master);
  return module.weight.owned.detach();
}

/// The values of two parameters that differ in name alone.
struct Twins {
  Parameter a, b;
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
};

double mean_of(Tensor const& x) { return x.to(float64).mean().item<double>(); }
double deviation_of(Tensor const& x) { return x.to(float64).std(/*unbiased=*/false).item<double>(); }

constexpr double sigma = 0.02;

/// Every parameter of this rank equals its box of one process's.
template <Plan plan>
void equals_one_process(InitOptions const& options, Mesh const& mesh) {
  Model<golden::gqa> alone;
  alone.init(options);
  std::map<std::string, Tensor> whole;
  alone.walk([&](std::string const& name, Parameter& p) { whole[name] = p.owned.detach(); });
  Model<golden::gqa, Plan{.tensor = plan.tensor}> model;
  init(model, options, mesh, float32);
  std::int64_t owned = 0, total = 0;
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    CHECK(p.owned.sizes() == at::IntArrayRef(p.box.size));
    auto expected = whole.at(name);
    for (std::size_t d = 0; d < p.shape.size(); ++d) {
      expected = expected.narrow(static_cast<std::int64_t>(d), p.box.offset[d], p.box.size[d]);
    }
    CHECK(p.owned.equal(expected));
    CHECK(p.owned.is_contiguous());
    bool const cut = p.tensor_dim != Parameter::whole || mesh[Axis::tensor].rank() == 0;
    owned += cut ? p.owned.numel() : 0;
    total += whole.at(name).numel();
  });
  auto const sum = at::full({1}, owned, at::TensorOptions().dtype(int64));
  mesh.all().sum(sum);
  CHECK(sum.item<std::int64_t>() == total * mesh[Axis::replicate].size());  // the boxes cover every element
}

template <Plan plan>
void equals_one_process() {
  Mesh const mesh = join(plan, Launch::from_environment());
  equals_one_process<plan>({.seed = 5}, mesh);
  equals_one_process<plan>({.seed = 5, .stream = InitStream::reference}, mesh);
}

template <auto spec>
void draws_as_the_original(std::string const& name, int parameters, int normals) {
  auto const file = SafeTensors::open(golden::path(name));
  Model<spec> model;
  model.init({.seed = 1234, .stream = InitStream::reference});
  // ATen's normal_ takes another path without AVX2, which differs in the last bits; truncated normals do not.
  bool const vectorised = at::get_cpu_capability() == "AVX2" || at::get_cpu_capability() == "AVX512";
  int bitwise = 0, close = 0;
  model.walk([&](std::string const& name, Parameter& p) {
    CAPTURE(name);
    auto const expected = file.tensor("w0/" + name);
    if (p.initial.kind == Initial::Kind::normal && !vectorised) {
      CHECK(golden::max_abs(p.owned, expected) <= 2e-6);
      ++close;
    } else {
      CHECK(p.owned.equal(expected));
      ++bitwise;
    }
  });
  CHECK(bitwise + close == parameters);
  CHECK(close == (vectorised ? 0 : normals));
}

}  // namespace

TEST_CASE("reference: every first value is the original's, bit for bit") {
  SUBCASE("llama3_gqa") { draws_as_the_original<golden::gqa>("llama3_gqa", 30, 1); }
  SUBCASE("mup_tied") { draws_as_the_original<golden::mup_tied>("mup_tied", 36, 22); }
}

TEST_CASE("reference: the distributions and their order are the original's") {
  auto const file = SafeTensors::open(golden::path("llama3_gqa"));
  auto const order = nlohmann::json::parse(file.metadata().at("init_order"));
  Model<golden::gqa> model;
  std::size_t next = 0;
  model.walk([&](std::string const& name, Parameter& p) {
    if (p.initial.kind == Initial::Kind::ones) return;  // draws nothing
    REQUIRE(next < order.size());
    auto const& entry = order[next++];
    CHECK(entry.at("name") == name);
    CHECK(p.initial.deviation == doctest::Approx(entry.at("std").get<double>()).epsilon(1e-15));
    if (p.initial.kind == Initial::Kind::truncated_normal) {
      CHECK(p.initial.low == doctest::Approx(entry.at("a").get<double>()).epsilon(1e-15));
      CHECK(p.initial.high == doctest::Approx(entry.at("b").get<double>()).epsilon(1e-15));
    }
  });
  CHECK(next == order.size());
}

TEST_CASE("reference: another seed or order gives other values") {
  auto const one = draw({40, 10}, Initial::normal(1), {.seed = 1, .stream = InitStream::reference});
  CHECK_FALSE(one.equal(draw({40, 10}, Initial::normal(1), {.seed = 2, .stream = InitStream::reference})));
  Twins twins{{.shape = {4}, .initial = Initial::normal(1)}, {.shape = {40, 10}, .initial = Initial::normal(1)}};
  init(twins, {.seed = 1, .stream = InitStream::reference}, Mesh{}, float32);
  CHECK_FALSE(one.equal(twins.b.owned));
}

TEST_CASE("keyed: each element is drawn by seed, name and global index") {
  Random const stream{9, hash("weight")};
  auto const found = draw({5, 7}, Initial::normal(0.5), {.seed = 9});
  for (int i = 0; i < 35; ++i) {
    CHECK(found.flatten()[i].item<float>() == static_cast<float>(0.5 * stream.normal(static_cast<std::uint64_t>(i))));
  }
  // A box starts anywhere, also at an odd index, where it shares a pair of the generator with its neighbour.
  CHECK(draw({3, 5, 7}, Initial::normal(0.5), {.seed = 9}).flatten().narrow(0, 0, 35).equal(found.flatten()));
}

TEST_CASE("keyed: mean and deviation are those asked for") {
  constexpr std::int64_t n = 1 << 20;
  auto const x = draw({1024, 1024}, Initial::normal(sigma));
  CHECK(std::abs(mean_of(x)) <= 4 * sigma / std::sqrt(n));
  CHECK(std::abs(deviation_of(x) - sigma) <= 4 * sigma / std::sqrt(2.0 * n));
  // The tail is there, and of the right weight: 4.55 % beyond two deviations.
  double const share = (x.abs() > 2 * sigma).to(float64).mean().item<double>();
  CHECK(std::abs(share - 0.0455003) <= 4 * std::sqrt(0.0455 * 0.9545 / n));
}

TEST_CASE("keyed: a truncated normal stays in its bounds and has the variance that leaves it") {
  constexpr std::int64_t n = 1 << 20;
  for (double const width : {0.5, 1.0, 3.0}) {  // bounds in deviations
    CAPTURE(width);
    auto const x = draw({1024, 1024}, Initial::truncated_normal(sigma, width * sigma));
    auto const bound = static_cast<float>(width * sigma);
    CHECK(x.abs().max().item<float>() <= bound);
    CHECK(x.abs().max().item<float>() >= 0.99 * bound);
    double const density = std::exp(-width * width / 2) / std::sqrt(2 * std::numbers::pi);
    double const inside = std::erf(width / std::numbers::sqrt2);
    double const expected = sigma * std::sqrt(1 - 2 * width * density / inside);
    CHECK(std::abs(mean_of(x)) <= 4 * expected / std::sqrt(n));
    CHECK(std::abs(deviation_of(x) - expected) <= 4 * expected / std::sqrt(2.0 * n));
    auto const reference = draw({1024, 1024}, Initial::truncated_normal(sigma, width * sigma), {.stream = InitStream::reference});
    CHECK(std::abs(deviation_of(reference) - expected) <= 4 * expected / std::sqrt(2.0 * n));
  }
}

TEST_CASE("keyed: other names and other seeds give independent streams") {
  constexpr std::int64_t n = 1 << 18;
  Twins twins{{.shape = {n}, .initial = Initial::normal(1)}, {.shape = {n}, .initial = Initial::normal(1)}};
  init(twins, {.seed = 1}, Mesh{}, float32);
  auto const correlation = [](Tensor const& a, Tensor const& b) { return mean_of(a.detach() * b.detach()); };
  CHECK(std::abs(correlation(twins.a.owned, twins.b.owned)) <= 4 / std::sqrt(n));
  auto const other = draw({n}, Initial::normal(1), {.seed = 2});
  CHECK(std::abs(correlation(draw({n}, Initial::normal(1), {.seed = 1}), other)) <= 4 / std::sqrt(n));
  // Neighbours in one stream as well.
  CHECK(std::abs(correlation(other.narrow(0, 1, n - 1), other.narrow(0, 0, n - 1))) <= 4 / std::sqrt(n - 1));
}

TEST_CASE("keyed: the number of threads does not show") {
  auto const threads = at::get_num_threads();
  for (auto const& initial : {Initial::normal(1), Initial::truncated_normal(1, 0.7)}) {
    at::set_num_threads(1);
    auto const one = draw({333, 257}, initial);
    at::set_num_threads(3);
    auto const three = draw({333, 257}, initial);
    CHECK(one.equal(three));
  }
  at::set_num_threads(threads);
}

TEST_CASE("constants, dtypes and leaves") {
  CHECK(draw({3, 2}, Initial::zeros()).equal(at::zeros({3, 2})));
  CHECK(draw({3, 2}, Initial::ones()).equal(at::ones({3, 2})));
  auto const wide = draw({40, 3}, Initial::normal(1), {}, float64);
  CHECK((wide.scalar_type() == float64));
  CHECK(wide.equal(draw({40, 3}, Initial::normal(1)).to(float64)));  // drawn in float32 for every master

  One module{{.shape = {4, 3}, .initial = Initial::normal(1)}};
  init(module, {}, Mesh{}, float32);
  CHECK(module.weight.name == "weight");
  CHECK(module.weight.owned.is_leaf());
  CHECK(module.weight.owned.requires_grad());
  CHECK(module.weight.box.offset == Shape{0, 0});
  CHECK(module.weight.box.size == Shape{4, 3});
}

TEST_CASE("a second init starts over") {
  One module{{.shape = {4, 3}, .initial = Initial::normal(1)}};
  init(module, {}, Mesh{}, float32);
  auto const first = module.weight.owned;
  backward(first.sum());
  init(module, {}, Mesh{}, float32);
  CHECK(module.weight.owned.equal(first));
  CHECK_FALSE(module.weight.owned.is_same(first));
  CHECK_FALSE(module.weight.owned.grad().defined());
}

TEST_CASE("rank: init under shard" * doctest::skip()) { equals_one_process<Plan{.shard = rest}>(); }
TEST_CASE("rank: init under tensor 2" * doctest::skip()) { equals_one_process<Plan{.tensor = 2}>(); }
TEST_CASE("rank: init under shard 2 tensor 2" * doctest::skip()) { equals_one_process<Plan{.shard = 2, .tensor = 2}>(); }
TEST_CASE("rank: init under replicate 2" * doctest::skip()) { equals_one_process<Plan{.replicate = 2}>(); }
TEST_CASE("rank: what cannot be cut" * doctest::skip()) {
  Mesh const mesh = join(Plan{.tensor = 2}, Launch::from_environment());
  One odd{{.shape = {5, 4}, .initial = Initial::normal(1), .tensor_dim = 0}};
  CHECK_THROWS_WITH_AS(init(odd, {}, mesh, float32),
                       doctest::Contains("weight: expected dimension 0 of [5, 4] to be a multiple of the tensor degree 2"),
                       ShapeError);
  mesh.all().barrier();  // the other rank may still be connecting
}

TEST_CASE("every plan gives the values of one process, reference and keyed") {
  SUBCASE("shard 2") { processes::run("rank: init under shard", 2); }
  SUBCASE("shard 3, which does not divide the rows") { processes::run("rank: init under shard", 3); }
  SUBCASE("tensor 2") { processes::run("rank: init under tensor 2", 2); }
  SUBCASE("both") { processes::run("rank: init under shard 2 tensor 2", 4); }
  SUBCASE("replicate 2") { processes::run("rank: init under replicate 2", 2); }
}

TEST_CASE("shapes that no plan can cut are refused") {
  One scalar{{.shape = {}, .initial = Initial::zeros()}};
  CHECK_THROWS_WITH_AS(init(scalar, {}, Mesh{}, float32), doctest::Contains("weight: expected at least one dimension"),
                       ShapeError);
  One nowhere{{.shape = {4}, .initial = Initial::zeros(), .tensor_dim = 1}};
  CHECK_THROWS_WITH_AS(init(nowhere, {}, Mesh{}, float32), doctest::Contains("weight: expected tensor_dim to be a dimension"),
                       ShapeError);
  processes::run("rank: what cannot be cut", 2);
}
