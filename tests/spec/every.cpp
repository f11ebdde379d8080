// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/every.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "lierne/spec/mask.hpp"
#include "lierne/spec/position.hpp"

using namespace lierne;

struct Numbered {
  static constexpr Role role = Role::position;
  int number = 0;
  friend constexpr bool operator==(Numbered const&, Numbered const&) = default;
};

constexpr auto last = every<4>(NoPosition{}, Rope{.base = 5e5});
constexpr auto first = every_from_first<4>(NoPosition{}, Rope{.base = 5e5});
static_assert(Fills<decltype(last), Role::position> && !Fills<decltype(last), Role::mask>);
static_assert(!last.chooses(0) && !last.chooses(2) && last.chooses(3) && !last.chooses(4) && last.chooses(7));
static_assert(first.chooses(0) && !first.chooses(3) && first.chooses(4) && !first.chooses(5));
static_assert(detail::slot_at<3>(last) == NoPosition{} && detail::slot_at<2>(last) == Rope{.base = 5e5});
static_assert(detail::slot_at<0>(first) == NoPosition{} && detail::slot_at<3>(first) == Rope{.base = 5e5});
static_assert(detail::slot_period<std::remove_const_t<decltype(last)>> == 4 && detail::slot_period<Rope> == 1);

// A piece without alternation is the same on all layers, and every<1> is its first argument.
static_assert(detail::slot_at<17>(Rope{.base = 3}) == Rope{.base = 3});
static_assert(detail::slot_at<0>(every<1>(NoPosition{}, Rope{})) == NoPosition{});
static_assert(detail::slot_at<6>(every_from_first<1>(NoPosition{}, Rope{})) == NoPosition{});

// Nested: the inner rule looks at the layer's own number, not at its place among the others.
constexpr auto nested = every<4>(Numbered{4}, every_from_first<3>(Numbered{3}, every<2>(Numbered{2}, Numbered{1})));
constexpr int period = detail::slot_period<std::remove_const_t<decltype(nested)>>;
static_assert(period == 12);

static int by_hand(int layer) {
  if (layer % 4 == 3) return 4;
  if (layer % 3 == 0) return 3;
  return layer % 2 == 1 ? 2 : 1;
}

template <int... layer>
std::vector<int> numbers(std::integer_sequence<int, layer...>) {
  return {detail::slot_at<layer>(nested).number...};
}

TEST_CASE("nested rules resolve as the conditions one after another do") {
  auto const found = numbers(std::make_integer_sequence<int, 40>{});
  for (int layer = 0; layer < 40; ++layer) CHECK(found[layer] == by_hand(layer));
}

TEST_CASE("the period of a nest repeats, and no half of it does") {
  auto const found = numbers(std::make_integer_sequence<int, 2 * period>{});
  auto const repeats_after = [&](int n) { return std::equal(found.begin(), found.end() - n, found.begin() + n); };
  CHECK(repeats_after(period));
  for (int shorter = 1; shorter < period; ++shorter) CHECK_FALSE(repeats_after(shorter));
}

TEST_CASE("the reference's NoPE layers under both rules") {
  std::vector<int> from_last, from_first;
  [&]<int... layer>(std::integer_sequence<int, layer...>) {
    ((std::is_same_v<decltype(detail::slot_at<layer>(last)), NoPosition> ? from_last.push_back(layer) : void()), ...);
    ((std::is_same_v<decltype(detail::slot_at<layer>(first)), NoPosition> ? from_first.push_back(layer) : void()), ...);
  }(std::make_integer_sequence<int, 12>{});
  CHECK(from_last == std::vector{3, 7, 11});
  CHECK(from_first == std::vector{0, 4, 8});
}
