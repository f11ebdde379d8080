// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/any_model.hpp"

#include <doctest/doctest.h>

#include <type_traits>

#include "lierne/nn/model.hpp"

using namespace lierne;

// One class runs every record; it is not made, copied or assigned from another by itself.
static_assert(std::is_base_of_v<AnyModel, Model<Decoder{.layers = 1, .width = 8, .vocab = 4, .mixer = {.heads = 1}}>>);
static_assert(!std::is_default_constructible_v<AnyModel> && !std::is_copy_constructible_v<AnyModel>);

namespace {

constexpr Decoder spec{.layers = 3,
                       .width = 16,
                       .vocab = 24,
                       .mixer = Attention{.heads = 4, .kv_heads = 2},
                       .position = every<3>(NoPosition{}, Rope{}),
                       .channel = SwiGlu{.hidden = 20},
                       .precision = Float64{}};

Tensor tokens_of(std::int64_t length) { return at::arange(2 * length, int64).remainder(24).view({2, length}); }

}  // namespace

TEST_CASE("the forward pass is the composition of its parts") {
  Model<spec> model;
  model.init({.seed = 3});
  NoGrad guard;
  std::vector<std::string> order;
  std::map<std::string, Tensor> seen;
  auto const tokens = tokens_of(6);
  auto const logits = model.forward(tokens, [&](std::string const& name, Tensor const& output) {
    order.push_back(name);
    seen[name] = output;
  });
  CHECK(order == std::vector<std::string>{"tok_embeddings", "layers.0", "layers.1", "layers.2", "norm"});
  std::map<std::string, Tensor> weights;
  model.walk([&](std::string const& name, Parameter& p) { weights[name] = p.owned; });
  CHECK(seen["tok_embeddings"].equal(at::embedding(weights["tok_embeddings.weight"], tokens)));
  auto const last = seen["layers.2"];
  auto const normed = last / (last.square().mean(-1, true) + 1e-5).sqrt() * weights["norm.weight"];
  CHECK((seen["norm"] - normed).abs().max().item<double>() <= 1e-14);
  CHECK((logits - at::matmul(normed, weights["output.weight"].t())).abs().max().item<double>() <= 1e-13);
  CHECK(logits.equal(model.forward(tokens)));
}

TEST_CASE("a longer sequence after a shorter one, and back, changes nothing: causal, and rotated from 0") {
  Model<spec> model;
  model.init({.seed = 3});
  NoGrad guard;
  auto const long_tokens = tokens_of(12), short_tokens = long_tokens.narrow(1, 0, 5).contiguous();
  auto const before = model.forward(short_tokens);
  auto const whole = model.forward(long_tokens);
  CHECK((whole.narrow(1, 0, 5) - before).abs().max().item<double>() <= 1e-13);
  CHECK(model.forward(short_tokens).equal(before));
}

TEST_CASE("names go below a prefix") {
  Model<spec> model;
  std::vector<std::string> names;
  model.walk([&](std::string const& name, Parameter&) { names.push_back(name); }, "teacher");
  CHECK(names.front() == "teacher.tok_embeddings.weight");
  CHECK(names[1] == "teacher.layers.0.attention.wq.weight");
  CHECK(names.back() == "teacher.output.weight");
  CHECK(names.size() == 3 + 3 * 9);
}

TEST_CASE("use before init, and tokens of another shape or dtype") {
  Model<spec> model;
  CHECK_THROWS_WITH_AS(model.forward(tokens_of(4)), "Model: forward before init (call model.init(...) first)", ArgumentError);
  model.init();
  CHECK_THROWS_WITH_AS(model.forward(at::zeros({4}, int64)), "Model: expected tokens [B, L] of int64, found [4] of Long",
                       ShapeError);
  CHECK_THROWS_WITH_AS(model.forward(at::zeros({1, 4})), "Model: expected tokens [B, L] of int64, found [1, 4] of Float",
                       ShapeError);
}
