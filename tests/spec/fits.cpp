// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/fits.hpp"

#include <doctest/doctest.h>

#include <climits>
#include <limits>

#include "lierne/spec/with.hpp"

using namespace lierne;

constexpr Decoder gpt{.layers = 2, .width = 64, .vocab = 96, .mixer = Attention{.heads = 8, .kv_heads = 2}};
static_assert(fits(gpt) && fits(gpt, Plan{.shard = rest}) && fits(gpt, Plan{.tensor = 2}));
static_assert(detail::CheckedSpec<gpt, Plan{.shard = rest, .tensor = 2}>::value);

// Sizes.
static_assert(!fits(with(gpt, field<"layers">(0))) && !fits(with(gpt, field<"width">(0))));
static_assert(!fits(with(gpt, field<"vocab">(0))) && !fits(with(gpt, field<"layers">(-1))) && !fits(Decoder{}));

// Heads.
static_assert(!fits(with(gpt, field<"width">(60))) && fits(with(gpt, field<"width">(48))));
static_assert(!fits(with(gpt, Attention{.heads = 8, .kv_heads = 3})));
static_assert(!fits(with(gpt, Attention{.heads = 2, .kv_heads = 4})));
static_assert(!fits(with(gpt, Attention{.heads = 0})) && !fits(with(gpt, Attention{.heads = -8})));
static_assert(!fits(with(gpt, Attention{.heads = 8, .kv_heads = -2})) && !fits(with(gpt, Attention{.heads = 128})));

// A head size of its own frees the width from the heads.
static_assert(fits(with(gpt, Attention{.heads = 7, .head_size = 12})) && fits(with(gpt, Attention{.heads = 128, .head_size = 2})));
static_assert(!fits(with(gpt, Attention{.heads = 7, .head_size = 13})), "odd under a Rope");
static_assert(!fits(with(gpt, Attention{.heads = 7, .head_size = -2})) && !fits(with(gpt, Attention{.heads = 0, .head_size = 2})));
static_assert(!fits(with(gpt, Attention{.heads = 7, .kv_heads = 2, .head_size = 12})));
static_assert(!fits(with(gpt, Attention{.heads = 7, .head_size = 12}), Plan{.tensor = 2}));
static_assert(fits(with(gpt, Attention{.temperature = llama4_temperature})));
static_assert(!fits(with(gpt, Attention{.temperature = {.scale = 0.1, .floor = 0}})));
static_assert(!fits(with(gpt, Attention{.temperature = {.scale = -0.1}})));

// Masks.
static_assert(fits(with(gpt, FixedBlock{.size = 1})) && !fits(with(gpt, FixedBlock{.size = 0})));
static_assert(fits(with(gpt, SlidingWindow{.size = 1})) && !fits(with(gpt, SlidingWindow{.size = -4})));
static_assert(!fits(with(gpt, Documents{})), "the end must be given");
static_assert(fits(with(gpt, Documents{.end = 0})) && fits(with(gpt, Documents{.end = 95})) && !fits(with(gpt, Documents{.end = 96})));
static_assert(fits(with(gpt, FixedBlock{.size = 16} & Documents{.end = 5})));
static_assert(!fits(with(gpt, FixedBlock{.size = 0} & Documents{.end = 5})));
static_assert(!fits(with(gpt, FixedBlock{.size = 16} & SlidingWindow{.size = 4} & Documents{.end = 96})));
static_assert(!fits(with(gpt, every<2>(Documents{.end = 5}, FixedBlock{.size = 0}))));
static_assert(fits(with(gpt, every<3>(Documents{.end = -1}, Causal{}))), "a mask that no layer has asks for nothing");

// The head size may be odd where nothing is rotated, and only there.
constexpr auto odd = with(gpt, field<"width">(40));
static_assert(!fits(odd) && fits(with(odd, NoPosition{})) && !fits(with(odd, every<2>(NoPosition{}, Rope{}))));
static_assert(fits(with(odd, every<1>(NoPosition{}, Rope{}))), "a Rope that no layer takes asks for nothing");
static_assert(fits(with(odd, field<"layers">(1), every_from_first<2>(NoPosition{}, Rope{}))), "nor one past the end");

// Rotation and hidden size.
static_assert(!fits(with(gpt, Rope{.base = 0})) && !fits(with(gpt, Rope{.base = -1e4})));
static_assert(fits(with(gpt, Rope{.scaling = llama31_scaling})) && !fits(with(gpt, Rope{.scaling = {.factor = -1}})));
static_assert(!fits(with(gpt, Rope{.scaling = {.factor = 8, .low = 4, .high = 1}})));
static_assert(!fits(with(gpt, Rope{.scaling = {.factor = 8, .original = 0}})));
static_assert(fits(with(gpt, Rope{.scaling = {.factor = 16, .low = 1, .high = 1}})), "Llama 4's: a step, not a blend");
static_assert(!fits(with(gpt, SwiGlu{.hidden = -1})) && !fits(with(gpt, SwiGlu{.multiplier = -1})));

// Experts.
static_assert(fits(with(gpt, Moe{})) && fits(with(gpt, every<2>(Moe{.experts = 4, .top_k = 4}, SwiGlu{}))));
static_assert(!fits(with(gpt, Moe{.experts = 4, .top_k = 5})) && !fits(with(gpt, Moe{.top_k = 0})));
static_assert(!fits(with(gpt, Moe{.shared = -1})) && fits(with(gpt, Moe{.shared = 0})));
static_assert(!fits(with(gpt, Moe{.route_scale = -1})) && !fits(with(gpt, Moe{.auxiliary = -1})));
static_assert(!fits(with(gpt, Moe{.hidden = -1})) && !fits(with(gpt, Moe{.multiple_of = 0})));
static_assert(!fits(with(gpt, Moe{}), Plan{.tensor = 2}) && fits(with(gpt, Moe{}), Plan{.shard = rest}));
static_assert(fits(with(gpt, every<4>(Moe{.top_k = 0}, SwiGlu{}))), "of two layers none is the fourth");

// Norm and initial scales.
static_assert(!fits(with(gpt, RmsNorm{.epsilon = -1e-5})) && fits(with(gpt, RmsNorm{.epsilon = 0})));
static_assert(!fits(with(gpt, every<2>(RmsNorm{}, RmsNorm{.epsilon = -1e-5}))));
static_assert(!fits(with(gpt, RmsNorm{.epsilon = std::numeric_limits<double>::quiet_NaN()})));
static_assert(!fits(with(gpt, Standard{.deviation = -0.02})) && fits(with(gpt, Standard{.deviation = 0})));
static_assert(!fits(with(gpt, Standard{.embedding_deviation = -1})));

static_assert(fits(with(gpt, MuP{})) && !fits(with(gpt, MuP{.base_width = 0})) && !fits(with(gpt, MuP{.base_layers = -1})));
static_assert(!fits(with(gpt, MuP{.deviation = -1})) && !fits(with(gpt, MuP{.base_head_size = -1})));
static_assert(!fits(with(gpt, CrossEntropy{.z = -1})) && !fits(with(gpt, CrossEntropy{.soft_cap = -1})));

static_assert(!fits(with(gpt, Mlp{.hidden = -1})) && fits(with(gpt, Glu{})) && !fits(with(gpt, Glu{.multiple_of = 0})));
static_assert(!fits(with(gpt, LayerNorm{.epsilon = -1})) && fits(with(gpt, LayerNorm{})));
static_assert(!fits(with(gpt, Mlp{.hidden = 97}), Plan{.tensor = 2}));

// The plan.
static_assert(!fits(gpt, Plan{.replicate = rest, .shard = rest}) && !fits(gpt, Plan{.tensor = 0}));
static_assert(!fits(gpt, Plan{.tensor = 4}), "two key heads cannot be cut in four");
static_assert(!fits(with(gpt, SwiGlu{.hidden = 97}), Plan{.tensor = 2}) && fits(with(gpt, SwiGlu{.hidden = 97})));
static_assert(!fits(with(gpt, field<"vocab">(97)), Plan{.tensor = 2}) && fits(with(gpt, field<"vocab">(97))));
static_assert(fits(gpt, Plan{.shard = rest, .tensor = 2}, 8) && !fits(gpt, Plan{.shard = rest, .tensor = 2}, 7));

// A piece of one's own may have some of the library's fields and mean something else by them.
struct OwnMixer {
  static constexpr auto role = Role::mixer;
  int heads = 7;
};
struct OwnScan {
  static constexpr auto role = Role::mixer;
  constexpr int head_width(int) const { return 3; }
  constexpr int keys() const { return 5; }
};
struct OwnPosition {
  static constexpr auto role = Role::position;
  double base = -1;
};
struct OwnChannel {
  static constexpr auto role = Role::channel;
  int multiple_of = 0;
};
static_assert(fits(with(gpt, OwnMixer{}, OwnPosition{}, OwnChannel{}), Plan{.tensor = 2}));
static_assert(fits(with(gpt, OwnScan{})));

// One that has all of Attention's sizes, or SwiGlu's, keeps their rules.
struct OwnAttention : Attention {
  double window = 0;
};
struct OwnFeedForward {
  static constexpr auto role = Role::channel;
  constexpr int hidden_size(int width) const { return width + 1; }
};
static_assert(!fits(with(gpt, OwnAttention{{.heads = 7}})) && fits(with(gpt, OwnAttention{{.heads = 8}})));
static_assert(fits(with(gpt, OwnFeedForward{})) && !fits(with(gpt, OwnFeedForward{}), Plan{.tensor = 2}));

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("a number that is none fits nowhere") {
  CHECK_FALSE(fits(with(gpt, Rope{.base = not_a_number})));
  CHECK_FALSE(fits(with(gpt, Rope{.scaling = {.factor = not_a_number}})));
  CHECK_FALSE(fits(with(gpt, Rope{.scaling = {.factor = 8, .low = not_a_number}})));
  CHECK_FALSE(fits(with(gpt, SwiGlu{.multiplier = not_a_number})));
  CHECK_FALSE(fits(with(gpt, Moe{.multiplier = not_a_number})));
  CHECK_FALSE(fits(with(gpt, Moe{.balance = not_a_number})));
}

TEST_CASE("fits answers for any sizes and degrees at all") {
  int const odd_values[] = {INT_MIN, -1, 0, 1, 2, 3, 64, INT_MAX};
  double const odd_factors[] = {-1e300, -1, 0, 1.3, 1e9, 1e300, not_a_number};
  int fitting = 0;
  for (int heads : odd_values) {
    for (int keys : odd_values) {
      for (int width : odd_values) {
        for (int multiple : odd_values) {
          for (double multiplier : odd_factors) {
            for (int tensor : {INT_MIN, 0, 1, 3, INT_MAX}) {
              fitting += fits(with(gpt, field<"width">(width), Attention{.heads = heads, .kv_heads = keys},
                                   SwiGlu{.multiplier = multiplier, .multiple_of = multiple}),
                              Plan{.tensor = tensor});
            }
          }
        }
      }
    }
  }
  CHECK(fitting > 0);
}

TEST_CASE("fits answers for any experts at all") {
  int const odd_values[] = {INT_MIN, -1, 0, 1, 2, 8, INT_MAX};
  int fitting = 0;
  for (int experts : odd_values) {
    for (int top_k : odd_values) {
      for (int shared : odd_values) {
        for (int multiple : odd_values) {
          for (double multiplier : {-1.0, 0.0, 1.3, 1e300, not_a_number}) {
            for (int width : odd_values) {
              Moe const moe{.experts = experts, .top_k = top_k, .shared = shared, .multiplier = multiplier, .multiple_of = multiple};
              fitting += fits(with(gpt, field<"width">(width), moe, Attention{.heads = 1}, NoPosition{}));
            }
          }
        }
      }
    }
  }
  CHECK(fitting > 0);
}

TEST_CASE("a fitting attention is one whose heads can be cut by hand") {
  int fitting = 0;
  for (int width = 1; width <= 24; ++width) {
    for (int heads = 1; heads <= 8; ++heads) {
      for (int keys = 1; keys <= 8; ++keys) {
        for (int tensor = 1; tensor <= 4; ++tensor) {
          auto const spec = with(gpt, field<"width">(width), Attention{.heads = heads, .kv_heads = keys});
          bool by_hand = false;
          for (int d = 2; d <= width; d += 2) by_hand = by_hand || heads * d == width;
          bool grouped = false, cut_heads = false, cut_keys = false;
          for (int n = 1; n <= 8; ++n) {
            grouped = grouped || n * keys == heads;
            cut_heads = cut_heads || n * tensor == heads;
            cut_keys = cut_keys || n * tensor == keys;
          }
          bool const cut_rest = 96 % tensor == 0 && 256 % tensor == 0;
          REQUIRE(fits(spec, Plan{.tensor = tensor}) == (by_hand && grouped && cut_heads && cut_keys && cut_rest));
          fitting += by_hand && grouped && cut_heads && cut_keys && cut_rest;
        }
      }
    }
  }
  CHECK(fitting > 20);
}
