// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/counts.hpp"

#include <doctest/doctest.h>

#include "lierne/spec/with.hpp"

using namespace lierne;

// A mixer with a count of its own and no products over the sequence.
struct OwnMixer {
  static constexpr auto role = Role::mixer;
  int state = 3;
  constexpr int parameters(int width) const { return state * width; }
};
struct OwnNorm {
  static constexpr auto role = Role::norm;
  constexpr int parameters(int width) const { return 2 * width; }
};

// The shape of the fixtures llama3_gqa: every tensor written out.
constexpr Decoder tiny{.layers = 3, .width = 64, .vocab = 100, .mixer = Attention{.heads = 4, .kv_heads = 2},
                       .channel = SwiGlu{.hidden = 128}};
constexpr auto count = parameters(tiny);
static_assert(count.embedding == 100 * 64 && count.output == 100 * 64);
static_assert(count.mixer == 3 * (64 * 64 + 32 * 64 + 32 * 64 + 64 * 64));
static_assert(count.channel == 3 * (128 * 64 + 64 * 128 + 128 * 64));
static_assert(count.norm == 64 + 3 * 2 * 64);
static_assert(count.total() == count.embedding + count.mixer + count.channel + count.norm + count.output);
static_assert(flops_per_token(tiny, 10) == 6.0 * (count.total() - 6400) + 12.0 * 3 * 4 * 16 * 10);

// torchtitan's debugmodel, its published total.
constexpr Decoder debugmodel{.layers = 6, .width = 256, .vocab = 2048, .mixer = Attention{.heads = 16}};
static_assert(parameters(debugmodel).total() == 6'163'712 && flops_per_token(debugmodel, 2048) == 71'585'280);

// A tied output is a product without weights of its own; norms around each branch and behind the embedding.
constexpr auto tied = with(tiny, field<"tied">(true));
static_assert(parameters(tied).output == 0 && parameters(tied).total() == count.total() - 6400);
static_assert(flops_per_token(tied, 10) == flops_per_token(tiny, 10));
static_assert(parameters(with(tiny, field<"peri_norm">(true))).norm == 64 + 3 * 4 * 64);
static_assert(parameters(with(tiny, field<"embedding_norm">(true))).norm == count.norm + 64);

// Experts: all are parameters, those that a token meets are active; torchtitan's debugmodel of Llama 4.
constexpr auto experts = with(tiny, every<2>(Moe{.experts = 4, .hidden = 32}, SwiGlu{.hidden = 128}));
static_assert(parameters(experts).channel == 2 * 3 * 64 * 128 + 3 * 64 * 32 * (4 + 1) + 4 * 64);
static_assert(active_parameters(experts) == parameters(experts).total() - 3 * 64 * 32 * 3);
static_assert(active_parameters(tiny) == count.total());
static_assert(flops_per_token(experts, 10) == 6.0 * (active_parameters(experts) - 6400) + 12.0 * 3 * 4 * 16 * 10);
constexpr auto sparse = with(debugmodel, every<2>(Moe{}, SwiGlu{}));
static_assert(parameters(sparse).total() == 15'017'216 && active_parameters(sparse) == 6'759'680);
static_assert(flops_per_token(sparse, 2048) == 75'161'088);

// Pieces of one's own count as they say.
static_assert(parameters(with(tiny, OwnMixer{})).mixer == 3 * 3 * 64);
static_assert(parameters(with(tiny, OwnNorm{})).norm == (1 + 3 * 2) * 2 * 64);
static_assert(flops_per_token(with(tiny, OwnMixer{}), 10) == flops_per_token(with(tiny, OwnMixer{}), 1000),
              "no `sequence_flops`, no FLOPs that grow with the sequence");

static_assert(bytes(tiny) == 12.0 * count.total() && bytes(tiny, Plan{}, 0) == 4.0 * count.total());
static_assert(bytes(with(tiny, Float64{})) == 2 * bytes(tiny) && bytes(with(tiny, BFloat16{})) == bytes(tiny));
static_assert(bytes(tiny, Plan{.replicate = 5}) == bytes(tiny), "a copy is not cut");
static_assert(bytes(tiny, Plan{.tensor = 2}, 0) == 4.0 * ((count.total() - count.norm) / 2 + count.norm));

TEST_CASE("alternating layers count as a loop over the layers counts them") {
  auto const alternating = [](int layers) {
    return with(tiny, field<"layers">(layers), every<2>(OwnMixer{.state = 5}, Attention{.heads = 4}),
                every_from_first<3>(SwiGlu{.hidden = 10}, every<4>(SwiGlu{.hidden = 20}, SwiGlu{})));
  };
  for (int layers : {1, 2, 3, 7, 9, 12, 25}) {
    std::int64_t mixer = 0, channel = 0;
    double flops = 0;
    for (int l = 0; l < layers; ++l) {
      bool const own = (l + 1) % 2 == 0;
      mixer += own ? 5 * 64 : 4 * 64 * 64;
      channel += 3 * 64 * (l % 3 == 0 ? 10 : (l + 1) % 4 == 0 ? 20 : 256);
      flops += own ? 0 : 12.0 * 64 * 77;
    }
    auto const found = parameters(alternating(layers));
    CHECK(found.mixer == mixer);
    CHECK(found.channel == channel);
    CHECK(found.norm == 64 * (2 * layers + 1));
    flops += 6.0 * static_cast<double>(found.total() - found.embedding);
    CHECK(flops_per_token(alternating(layers), 77) == flops);
  }
}

TEST_CASE("the ranks of a plan together hold the model, norms once for each tensor rank") {
  for (int shard : {1, 2, 4}) {
    for (int tensor : {1, 2}) {
      double const ranks = shard * tensor;
      double const held = ranks * bytes(tiny, Plan{.shard = shard, .tensor = tensor});
      CHECK(held == doctest::Approx(12.0 * (count.total() + (tensor - 1) * count.norm)).epsilon(1e-14));
    }
  }
}

TEST_CASE("bytes does not answer for a plan that is not settled") {
  CHECK_THROWS_AS(bytes(tiny, Plan{.shard = rest}), ArgumentError);
  CHECK_THROWS_AS(bytes(tiny, Plan{.replicate = rest}), ArgumentError);
  CHECK_THROWS_AS(bytes(tiny, Plan{.tensor = 0}), ArgumentError);
  CHECK_THROWS_WITH(bytes(tiny, Plan{.shard = rest, .tensor = 2}),
                    "bytes: the plan's degrees must all be 1 or more, found replicate 1, shard rest, tensor 2 "
                    "(give it resolved(plan, world))");
  CHECK(bytes(tiny, resolved(Plan{.shard = rest, .tensor = 2}, 4)) == bytes(tiny, Plan{.shard = 2, .tensor = 2}));
}
