// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/positions.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

Slot part(Shape whole, Shape offset, Shape size) {
  return {.name = "w", .weight = at::zeros(size), .shape = std::move(whole), .offset = std::move(offset)};
}

}  // namespace

TEST_CASE("runs cover a part and enter the whole where it lies") {
  for (auto const& slot : {part({6, 10}, {2, 0}, {3, 10}), part({6, 10}, {1, 4}, {4, 5}), part({3, 4, 5}, {1, 2, 0}, {2, 2, 5}),
                           part({3, 4, 5}, {0, 1, 2}, {3, 2, 3}), part({7}, {3}, {4}), part({}, {}, {}), part({5, 3}, {5, 0}, {0, 3})}) {
    CAPTURE(to_string(slot.shape));
    auto const whole = at::arange(elements(slot.shape), at::kLong).view(slot.shape);
    auto box = whole;
    for (std::size_t d = 0; d < slot.shape.size(); ++d) {
      box = box.narrow(static_cast<std::int64_t>(d), slot.offset[d], slot.weight.size(static_cast<std::int64_t>(d)));
    }
    auto const expected = box.contiguous().view({-1});
    auto const positions = Positions::of(slot);
    REQUIRE(positions.elements() == expected.numel());
    for (std::int64_t begin = 0; begin <= expected.numel(); begin += 3) {
      for (std::int64_t end = begin; end <= expected.numel(); end += 2) {
        auto next = begin;
        positions.for_each_run(begin, end, [&](std::int64_t at, std::int64_t index, std::int64_t size) {
          REQUIRE(at == next);
          for (std::int64_t i = 0; i < size; ++i) REQUIRE(expected[at + i].item<std::int64_t>() == index + i);
          next += size;
        });
        CHECK(next == end);
      }
    }
  }
}

TEST_CASE("rows are cut into blocks of 256 from their beginning") {
  auto const positions = Positions::of(part({5, 600}, {1, 0}, {3, 600}));
  REQUIRE(positions.has_blocks());
  CHECK((positions.rows() == 3 && positions.blocks_in_row() == 3));
  std::int64_t block = 0, at = 0;
  for (auto const size : {256, 256, 88, 256, 256, 88, 256, 256, 88}) {
    CHECK(positions.block_of(at) == block);
    CHECK(positions.block_of(at + size - 1) == block++);
    CHECK(positions.block_end(at) == at + size);
    CHECK(positions.block_end(at + size - 1) == at + size);
    at += size;
  }
  CHECK(positions.uncut(0, 1000) == 856);
  CHECK(positions.uncut(600, 601) == 856);  // a block at least
  CHECK(positions.uncut(1200, 9000) == 1800);
  CHECK(positions.uncut(0, 1200) == 1200);
}

TEST_CASE("short rows and vectors have no blocks, and all ranks see it alike") {
  CHECK_FALSE(Positions::of(part({5000}, {0}, {5000})).has_blocks());
  CHECK_FALSE(Positions::of(part({}, {}, {})).has_blocks());
  CHECK_FALSE(Positions::of(part({50, 63}, {0, 0}, {50, 63})).has_blocks());
  CHECK(Positions::of(part({50, 64}, {50, 0}, {0, 64})).has_blocks());
  CHECK(Positions::of(part({50, 512}, {0, 256}, {50, 256})).has_blocks());
}

TEST_CASE("a part that does not lie in the whole, or cuts blocks, is named") {
  Slot without{.name = "w", .weight = at::zeros({2, 3}), .shape = {4, 3}};
  CHECK_THROWS_WITH_AS(Positions::of(without), doctest::Contains("'w': expected Slot::offset to place a part of shape [2, 3] in the parameter of shape [4, 3], found [0, 0] (none was given)"), ShapeError);
  CHECK_THROWS_AS(Positions::of(part({4, 3}, {3, 0}, {2, 3})), ShapeError);
  CHECK_THROWS_AS(Positions::of(part({4, 3}, {0}, {2, 3})), ShapeError);
  Positions::of(part({4, 768}, {0, 256}, {4, 512})).check_blocks("w");
  Positions::of(part({4, 700}, {0, 512}, {4, 188})).check_blocks("w");
  Positions::of(part({4, 700}, {2, 0}, {2, 700})).check_blocks("w");
  CHECK_THROWS_WITH_AS(Positions::of(part({4, 700}, {0, 0}, {4, 350})).check_blocks("w"), doctest::Contains("cuts a row inside a block of 256"), ShapeError);
  CHECK_THROWS_AS(Positions::of(part({4, 700}, {0, 350}, {4, 350})).check_blocks("w"), ShapeError);
  CHECK_THROWS_AS(Positions::of(part({4, 2, 512}, {0, 0, 256}, {4, 2, 256})).check_blocks("w"), ShapeError);
}
