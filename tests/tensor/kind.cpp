// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/kind.hpp"

#include <doctest/doctest.h>

#include "lierne/nn/nn.hpp"

using namespace lierne;

static_assert(kind_of(Kind::by_shape, 0) == Kind::vector);
static_assert(kind_of(Kind::by_shape, 1) == Kind::vector);
static_assert(kind_of(Kind::by_shape, 2) == Kind::matrix);
static_assert(kind_of(Kind::by_shape, 3) == Kind::matrix);
static_assert(kind_of(Kind::norm, 2) == Kind::norm);

TEST_CASE("kinds are written as they are spelled") {
  CHECK(to_string(Kind::embedding) == "embedding");
  CHECK(to_string(Kind::vector) == "vector");
}

TEST_CASE("a decoder declares what its shapes do not tell") {
  constexpr Decoder gpt{.layers = 1, .width = 16, .vocab = 32, .mixer = Attention{.heads = 2}};
  Model<gpt> model;
  std::string kinds;
  model.walk([&](std::string const& name, Parameter& p) {
    kinds += name + " " + to_string(kind_of(p.kind, p.shape.size())) + "\n";
  });
  CHECK(kinds ==
        "tok_embeddings.weight embedding\n"
        "layers.0.attention.wq.weight matrix\nlayers.0.attention.wk.weight matrix\n"
        "layers.0.attention.wv.weight matrix\nlayers.0.attention.wo.weight matrix\n"
        "layers.0.feed_forward.w1.weight matrix\nlayers.0.feed_forward.w2.weight matrix\n"
        "layers.0.feed_forward.w3.weight matrix\n"
        "layers.0.attention_norm.weight norm\nlayers.0.ffn_norm.weight norm\n"
        "norm.weight norm\noutput.weight output\n");
}
