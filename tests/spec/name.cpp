// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/name.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

#include "lierne/spec/with.hpp"

using namespace lierne;

struct Unnamed {
  static constexpr auto role = Role::mixer;
};
struct Named {
  static constexpr auto role = Role::mask;
  constexpr std::string_view name() const { return "every second token"; }
};

// A loss of one's own that calls itself what the usual one is called.
struct OwnLoss {
  static constexpr auto role = Role::loss;
  constexpr std::string_view name() const { return "cross entropy"; }
};

constexpr Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = Attention{.heads = 8, .kv_heads = 2},
                      .position = every<4>(NoPosition{}, Rope{.base = 5e5})};

TEST_CASE("a record is one line") {
  CHECK(name(gpt) == "decoder 8x512 vocab 8192: attention 8/2, every<4>(nope, rope 500000), causal, swiglu, rmsnorm, "
                     "standard, float32");
}

TEST_CASE("the loss is named where it is not the usual one") {
  CHECK(name(with(gpt, CrossEntropy{.z = 1e-4})) == name(gpt) + ", cross entropy z 0.0001");
  CHECK(name(with(gpt, OwnLoss{})) == name(gpt) + ", cross entropy");
}

TEST_CASE("pieces of one's own are named by their name, or by their slot") {
  CHECK(name(with(gpt, Unnamed{})).find(": own mixer, every<4>") != std::string::npos);
  CHECK(name(with(gpt, Named{})).find(", every second token, ") != std::string::npos);
}

TEST_CASE("an alternation in an alternation is named whole") {
  CHECK(name(with(gpt, every_from_first<2>(Rope{}, every<3>(NoPosition{}, Rope{.base = 7})))).find(
            "every_from_first<2>(rope 10000, every<3>(nope, rope 7))") != std::string::npos);
}

// Run directories are named by it: what trains differently must not share a name.
TEST_CASE("records that differ in any number have different names") {
  std::set<std::string> names;
  int records = 0;
  auto const add = [&](auto const&... changes) {
    names.insert(name(with(gpt, changes...)));
    ++records;
  };
  add();
  add(field<"layers">(9));
  add(field<"width">(1024));
  add(field<"vocab">(8193));
  add(Attention{.heads = 4, .kv_heads = 2});
  add(Attention{.heads = 8, .kv_heads = 4});
  add(Rope{.base = 5e5});
  add(Rope{.base = 500001});
  add(Rope{.base = 5e5, .scaling = llama31_scaling});
  add(Rope{.base = 5e5, .scaling = {.factor = 8, .low = 1, .high = 4, .original = 64}});
  add(Rope{.base = 5e5, .scaling = {.factor = 8, .low = 1, .high = 2}});
  add(NoPosition{});
  add(every<2>(NoPosition{}, Rope{.base = 5e5}));
  add(every_from_first<4>(NoPosition{}, Rope{.base = 5e5}));
  add(SwiGlu{.hidden = 1408});
  add(SwiGlu{.multiplier = 1.3});
  add(SwiGlu{.multiplier = 1.3, .multiple_of = 1024});
  add(SwiGlu{.multiple_of = 1024});
  add(RmsNorm{.epsilon = 1e-6});
  add(Standard{.by_depth = false});
  add(Standard{.deviation = 0.01});
  add(Standard{.embedding_deviation = 0.01});
  add(Glu{});
  add(Glu{.activation = Silu{}});
  add(Mlp{});
  add(Mlp{.activation = SquaredRelu{}});
  add(Mlp{.multiple_of = 64});
  add(LayerNorm{});
  add(LayerNorm{.bias = false});
  add(LayerNorm{.epsilon = 1e-6});
  add(MuP{});
  add(MuP{.base_width = 64});
  add(CrossEntropy{.z = 1e-4});
  add(CrossEntropy{.soft_cap = 30});
  add(field<"tied">(true));
  add(field<"embedding_norm">(true));
  add(field<"peri_norm">(true));
  add(BFloat16{});
  add(Float64{});
  add(Precision<Float::bfloat16, Float::bfloat16>{});
  CHECK(names.size() == static_cast<std::size_t>(records));
}
