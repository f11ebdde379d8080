// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/with.hpp"

#include <doctest/doctest.h>

#include <type_traits>

#include "lierne/spec/block.hpp"

using namespace lierne;

struct OwnChannel {
  static constexpr auto role = Role::channel;
  int rank = 0;
  friend constexpr bool operator==(OwnChannel const&, OwnChannel const&) = default;
};

constexpr Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = Attention{.heads = 4}};

// Each size and each slot alone; nothing else moves.
static_assert(with(gpt) == gpt);
static_assert(with(gpt, field<"layers">(3)) ==
              Decoder{.layers = 3, .width = 512, .vocab = 8192, .mixer = Attention{.heads = 4}});
static_assert(with(gpt, field<"width">(64)).width == 64 && with(gpt, field<"vocab">(9)).vocab == 9);
static_assert(with(gpt, field<"width">(64)).layers == 8 && with(gpt, field<"width">(64)).vocab == 8192);
static_assert(with(gpt, Attention{.heads = 8}).mixer.heads == 8);
static_assert(with(gpt, NoPosition{}).position == NoPosition{} && with(gpt, NoPosition{}).mixer == gpt.mixer);
static_assert(with(gpt, Causal{}) == gpt);
static_assert(with(gpt, SwiGlu{.hidden = 96}).channel.hidden == 96);
static_assert(with(gpt, RmsNorm{.epsilon = 1e-6}).norm.epsilon == 1e-6);
static_assert(with(gpt, Standard{.by_depth = false}).scaling.by_depth == false);
static_assert(with(gpt, MuP{.base_width = 64}).scaling.base_width == 64);
static_assert(with(gpt, CrossEntropy{.z = 1e-4}).loss.z == 1e-4);
static_assert(with(gpt, field<"tied">(true)).tied && !with(gpt, field<"tied">(true)).peri_norm);
static_assert(with(gpt, field<"peri_norm">(true)).peri_norm && with(gpt, field<"embedding_norm">(true)).embedding_norm);
static_assert(with(gpt, field<"embedding_norm">(true), field<"embedding_norm">(false)) == gpt);
static_assert(with(gpt, BFloat16{}).precision == BFloat16{});
static_assert(with(gpt, OwnChannel{3}).channel == OwnChannel{3});

// The type is the one that the record would have had.
static_assert(std::is_same_v<decltype(with(gpt, NoPosition{}, BFloat16{})),
                             decltype(Decoder{.position = NoPosition{}, .precision = BFloat16{}})>);

// An alternation is a piece of its slot, in and out.
constexpr auto alternating = with(gpt, every<2>(NoPosition{}, Rope{}));
static_assert(block_period(alternating) == 2 && block_at<1>(alternating).position == NoPosition{});
static_assert(with(alternating, Rope{}) == gpt);

// Left to right: the last change of a slot stands; changes of different slots commute.
static_assert(with(gpt, field<"width">(1), field<"width">(2)).width == 2);
static_assert(with(gpt, NoPosition{}, Rope{}) == gpt);
static_assert(with(gpt, NoPosition{}, field<"layers">(12)) == with(gpt, field<"layers">(12), NoPosition{}));
static_assert(with(with(gpt, NoPosition{}), BFloat16{}) == with(gpt, NoPosition{}, BFloat16{}));

TEST_CASE("with takes numbers that are known at run time only") {
  for (int layers : {1, 7, 9}) {
    auto const changed = with(gpt, field<"layers">(layers), Attention{.heads = 2 * layers});
    CHECK(changed.layers == layers);
    CHECK(changed.mixer.heads == 2 * layers);
    CHECK(changed.width == gpt.width);
  }
}
