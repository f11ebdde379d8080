// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/decoder.hpp"

#include <doctest/doctest.h>

#include <type_traits>

using namespace lierne;

struct OwnMixer {
  static constexpr auto role = Role::mixer;
  int state = 16;
};

// Every way of writing a record: slots skipped, in braces, of one's own, alternating, in order without names, copied.
constexpr Decoder plain{.layers = 2, .width = 64, .vocab = 100};
static_assert(std::is_same_v<decltype(plain), Decoder<> const>);
static_assert(plain.mixer == Attention{} && plain.position == Rope{} && plain.norm.epsilon == 1e-5);

constexpr Decoder skipping{.layers = 2, .vocab = 100, .position = NoPosition{}, .precision = BFloat16{}};
static_assert(std::is_same_v<decltype(skipping.mixer), Attention>);
static_assert(std::is_same_v<decltype(skipping.position), NoPosition>);
static_assert(std::is_same_v<decltype(skipping.precision), BFloat16> && skipping.width == 0 && skipping.vocab == 100);

constexpr Decoder braced{.layers = 2, .mixer = {.heads = 4}, .channel = {.hidden = 96}};
static_assert(std::is_same_v<decltype(braced), Decoder<> const>);
static_assert(braced.mixer.heads == 4 && braced.channel.hidden == 96);

constexpr Decoder own{.width = 64, .mixer = OwnMixer{.state = 8}, .mask = every<2>(Causal{}, Causal{})};
static_assert(std::is_same_v<decltype(own.mixer), OwnMixer> && own.mixer.state == 8);
static_assert(Fills<decltype(own.mask), Role::mask>);

constexpr Decoder ordered{2, 64, 100, OwnMixer{}};
static_assert(std::is_same_v<decltype(ordered), Decoder<OwnMixer> const> && ordered.vocab == 100);

constexpr Decoder copied{skipping};
static_assert(std::is_same_v<decltype(copied), decltype(skipping)> && copied == skipping);
static_assert(plain != Decoder{.layers = 3, .width = 64, .vocab = 100});
static_assert(plain != Decoder{.layers = 2, .width = 64, .vocab = 100, .mixer = Attention{.heads = 4}});

// A record is a template argument: equal records name one type, whatever expression they come from.
template <auto spec>
struct Tag {};
constexpr Decoder again{.layers = 1 + 1, .width = 1 << 6, .vocab = 100, .mixer = Attention{}};
static_assert(std::is_same_v<Tag<plain>, Tag<again>> && !std::is_same_v<Tag<plain>, Tag<braced>>);

TEST_CASE("records are values at run time too") {
  auto record = plain;
  record.width = 128;
  CHECK(record != plain);
  record.width = 64;
  CHECK(record == plain);
}
