// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/unit.hpp"

#include <doctest/doctest.h>

#include "lierne/nn/model.hpp"

using namespace lierne;

namespace {

constexpr Decoder spec{
    .layers = 2, .width = 8, .vocab = 16, .mixer = Attention{.heads = 2}, .channel = SwiGlu{.hidden = 12}};

}  // namespace

TEST_CASE("a cast materialiser gives products the compute dtype and norms the master dtype") {
  Parameter weight{.shape = {2, 2}}, norm{.shape = {2}, .read_as = ReadAs::master};
  weight.owned = at::full({2, 2}, 1.0 / 3).requires_grad_();
  norm.owned = at::full({2}, 1.0 / 3).requires_grad_();
  Unit const unit{.name = "block", .parameters = {&weight, &norm}};
  CastMaterialiser materialiser(bfloat16);
  materialiser.materialise(unit);
  CHECK((weight().scalar_type() == bfloat16));
  CHECK(norm().is_same(norm.owned));

  auto const output = (weight().to(float32).sum() + norm().sum()) * 3;
  CHECK(materialiser.release(unit, output).is_same(output));
  CHECK_FALSE(weight.materialised.defined());
  CHECK_FALSE(norm.materialised.defined());
  backward(output);
  CHECK((weight.owned.grad().scalar_type() == float32));  // gradients have the master dtype
  CHECK(weight.owned.grad().equal(at::full({2, 2}, 3.0)));
  CHECK(norm.owned.grad().equal(at::full({2}, 3.0)));
}

TEST_CASE("the same dtype is not copied") {
  Parameter weight{.shape = {2, 2}};
  weight.owned = at::ones({2, 2}).requires_grad_();
  Unit const unit{.name = "block", .parameters = {&weight}};
  CastMaterialiser materialiser(float32);
  materialiser.materialise(unit);
  CHECK(weight().is_same(weight.owned));
}

TEST_CASE("a model's units are the embedding, the blocks, and the last norm with the output") {
  Model<spec> model;
  model.init();
  auto const& units = model.units();
  REQUIRE(units.size() == 4);
  CHECK(units[0].name == "tok_embeddings");
  CHECK(units[1].name == "layers.0");
  CHECK(units[2].name == "layers.1");
  CHECK(units[3].name == "output");
  for (std::size_t i = 0; i < 4; ++i) CHECK(units[i].last == (i == 3));
  // Every parameter is in exactly one unit.
  std::vector<Parameter*> all;
  for (auto const& unit : units) all.insert(all.end(), unit.parameters.begin(), unit.parameters.end());
  CHECK(all == model.parameters());
}

TEST_CASE("the units of a moved model are its own") {
  Model<spec> first;
  first.init();
  REQUIRE(first.units().size() == 4);
  Model<spec> second = std::move(first);
  CHECK(second.units()[0].parameters[0] == second.parameters()[0]);
  auto const tokens = at::zeros({1, 4}, int64);
  NoGrad guard;
  CHECK(second.forward(tokens).sizes() == at::IntArrayRef({1, 4, 16}));
}
