// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/block.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace lierne;

namespace {

template <Role role_>
struct Numbered {
  static constexpr Role role = role_;
  int number = 0;
  friend constexpr bool operator==(Numbered const&, Numbered const&) = default;
};
using OwnMixer = Numbered<Role::mixer>;
using OwnMask = Numbered<Role::mask>;
using OwnChannel = Numbered<Role::channel>;

constexpr Decoder plain{.layers = 5, .width = 64, .vocab = 10};
static_assert(block_period(plain) == 1);
static_assert(std::is_same_v<decltype(block_at<0>(plain)), decltype(block_at<4>(plain))>);
static_assert(block_at<0>(plain) == block_at<4>(plain) && block_at<0>(plain).width == 64);
static_assert(block_at<0>(plain).tensor == 1 && block_at<0>(plain, 2).tensor == 2);
static_assert(block_at<0>(plain) != block_at<0>(plain, 2), "a cut block is another block");

// Every slot arrives with its settings; the norm alternates like the others.
constexpr Decoder settings{.layers = 2,
                           .width = 64,
                           .vocab = 10,
                           .mixer = Attention{.heads = 4},
                           .channel = SwiGlu{.hidden = 96},
                           .norm = every<2>(RmsNorm{.epsilon = 1e-6}, RmsNorm{}),
                           .scaling = Standard{.deviation = 0.01},
                           .precision = BFloat16{}};
static_assert(block_at<0>(settings).norm == RmsNorm{} && block_at<1>(settings).norm.epsilon == 1e-6);
static_assert(block_at<1>(settings).mixer.heads == 4 && block_at<1>(settings).channel.hidden == 96);
static_assert(block_at<1>(settings).scaling.deviation == 0.01 && block_at<1>(settings).precision == BFloat16{});

// Sizes that no block uses do not make another block.
constexpr Decoder deeper{.layers = 50, .width = 64, .vocab = 99};
template <auto block>
struct Tag {};
static_assert(std::is_same_v<Tag<block_at<3>(plain)>, Tag<block_at<7>(deeper)>>);

// Periods 2, 3 and 4 together, of both phases, one of them nested in another.
template <int layers>
constexpr Decoder mixed{.layers = layers,
                        .width = 64,
                        .vocab = 10,
                        .mixer = every<2>(OwnMixer{2}, OwnMixer{1}),
                        .position = every_from_first<4>(NoPosition{}, Rope{}),
                        .mask = every_from_first<3>(OwnMask{3}, OwnMask{1}),
                        .channel = every<4>(OwnChannel{4}, every_from_first<3>(OwnChannel{3}, OwnChannel{1}))};
static_assert(block_period(mixed<9>) == 12);

// What the rules say of layer l, without the library.
std::string by_hand(int l) {
  std::string const mixer = (l + 1) % 2 == 0 ? "2" : "1";
  std::string const position = l % 4 == 0 ? "n" : "r";
  std::string const mask = l % 3 == 0 ? "3" : "1";
  std::string const channel = (l + 1) % 4 == 0 ? "4" : l % 3 == 0 ? "3" : "1";
  return mixer + position + mask + channel;
}

template <class Block>
std::string text(Block const& block) {
  bool const none = std::is_same_v<std::remove_cvref_t<decltype(block.position)>, NoPosition>;
  return std::to_string(block.mixer.number) + (none ? "n" : "r") + std::to_string(block.mask.number) +
         std::to_string(block.channel.number);
}

template <class Spec, int... l>
std::vector<std::string> texts(Spec const& spec, std::integer_sequence<int, l...>) {
  return {text(block_at<l>(spec))...};
}

template <int layers>
void check_against_loop() {
  CAPTURE(layers);
  constexpr auto spec = mixed<layers>;
  auto const found = texts(spec, std::make_integer_sequence<int, layers>{});
  for (int l = 0; l < layers; ++l) CHECK(found[l] == by_hand(l));
  // The period and its multiplicities give the same multiset of blocks as the loop over layers.
  std::multiset<std::string> visited, expected;
  int visits = 0, total = 0;
  detail::for_each_block(spec, [&](auto const& block, int count) {
    CHECK(count >= 1);
    for (int i = 0; i < count; ++i) visited.insert(text(block));
    ++visits;
    total += count;
  });
  for (int l = 0; l < layers; ++l) expected.insert(by_hand(l));
  CHECK(visited == expected);
  CHECK(total == layers);
  CHECK(visits == (layers < 12 ? layers : 12));
}

}  // namespace

TEST_CASE("blocks of 1, 7, 9 and more layers under periods 2, 3 and 4 equal a loop") {
  check_against_loop<1>();
  check_against_loop<7>();
  check_against_loop<9>();
  check_against_loop<12>();
  check_against_loop<31>();
}

TEST_CASE("the period repeats and no shorter one does") {
  constexpr auto spec = mixed<9>;
  constexpr int period = block_period(spec);
  auto const found = texts(spec, std::make_integer_sequence<int, 2 * period>{});
  auto const repeats_after = [&](int n) { return std::equal(found.begin(), found.end() - n, found.begin() + n); };
  CHECK(repeats_after(period));
  for (int shorter = 1; shorter < period; ++shorter) CHECK_FALSE(repeats_after(shorter));
}

TEST_CASE("a record without layers has no blocks") {
  int visits = 0;
  detail::for_each_block(mixed<0>, [&](auto const&, int) { ++visits; });
  detail::for_each_block(mixed<-3>, [&](auto const&, int) { ++visits; });
  CHECK(visits == 0);
}
