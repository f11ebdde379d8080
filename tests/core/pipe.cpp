// SPDX-License-Identifier: Apache-2.0
// The pipe node: order, grouping, size, roles.
#include "lierne/core/pipe.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

using lierne::operator|;  // found by itself only where one side is a piece of lierne

struct LetterRole : lierne::PipeRole {};
struct DigitRole : lierne::PipeRole {};

struct Letter {
  using pipe_role = LetterRole;
  char letter;
};
struct Empty {
  using pipe_role = LetterRole;
};
struct Digit {
  using pipe_role = DigitRole;
};
struct Stranger {
  using pipe_role = int;
};

template <class Left, class Right>
concept Joins = requires(Left left, Right right) { left | right; };

static_assert(lierne::Pipeable<Letter> && lierne::Pipeable<lierne::Pipe<Letter, Empty>>);
static_assert(!lierne::Pipeable<int> && !lierne::Pipeable<Stranger>);
static_assert(Joins<Letter, Letter> && !Joins<Letter, Stranger> && !Joins<Letter, int>);
static_assert(lierne::PipeNode<lierne::Pipe<Letter, Empty>> && !lierne::PipeNode<Letter>);
static_assert(sizeof(lierne::Pipe<Letter, Empty>) == 1, "an empty piece takes no room");
static_assert(lierne::pieces<Letter> == 1);
static_assert(lierne::pieces<decltype(Letter{'a'} | (Letter{'b'} | Empty{}))> == 3);

template <class Node>
std::string letters(Node const& node) {
  std::string text;
  lierne::for_each_piece(node, [&](Letter piece) { text += piece.letter; });
  return text;
}

}  // namespace

TEST_CASE("a pipe visits its pieces from left to right, however it is grouped") {
  Letter const a{'a'}, b{'b'}, c{'c'}, d{'d'};
  CHECK(letters(a) == "a");
  CHECK(letters(a | b | c | d) == "abcd");
  CHECK(letters(a | (b | (c | d))) == "abcd");
  CHECK(letters((a | b) | (c | d)) == "abcd");
  CHECK(letters(lierne::pipe(a, b, c, d)) == "abcd");
}

TEST_CASE("a pipe is a constant expression") {
  constexpr auto node = Letter{'x'} | Letter{'y'};
  static_assert(node.left.letter == 'x' && node.right.letter == 'y');
  CHECK(letters(node) == "xy");
}
