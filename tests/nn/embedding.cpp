// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/embedding.hpp"

#include "nn/alone.hpp"

using namespace lierne;

namespace {

Tensor tokens() { return at::tensor({3, 0, 4, 3, 3, 1}, int64).view({2, 3}); }

}  // namespace

TEST_CASE("each token becomes its row of the table") {
  Embedding embedding{{.shape = {5, 4}}};
  auto const table = alone::ready(embedding, float64).at("weight");
  auto const rows = embedding(tokens(), Group{});
  REQUIRE(rows.sizes() == at::IntArrayRef({2, 3, 4}));
  for (int b = 0; b < 2; ++b) {
    for (int l = 0; l < 3; ++l) CHECK(rows[b][l].equal(table[tokens()[b][l].item<std::int64_t>()]));
  }
}

TEST_CASE("a row's gradient is the sum over the places of its token") {
  Embedding embedding{{.shape = {5, 4}}};
  auto const leaves = alone::ready(embedding, float64);
  auto const by = alone::normal({2, 3, 4}, 2);
  alone::check_gradients([&] { return (embedding(tokens(), Group{}).square() * by).sum(); }, leaves);
  CHECK(leaves.at("weight").grad()[2].abs().max().item<double>() == 0);  // a token that does not occur
}

TEST_CASE("a token that the table does not have is refused") {
  Embedding embedding{{.shape = {5, 4}}};
  alone::ready(embedding, float64);
  CHECK_THROWS(embedding(at::tensor({5}, int64), Group{}));
  CHECK_THROWS(embedding(at::tensor({-1}, int64), Group{}));
}
