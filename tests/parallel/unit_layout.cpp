// SPDX-License-Identifier: Apache-2.0
#include "lierne/parallel/unit_layout.hpp"

#include <doctest/doctest.h>

using namespace lierne;
using lierne::detail::UnitLayout;

namespace {

auto const everything = [](auto const&) { return true; };

}  // namespace

TEST_CASE("parts are padded to the longest, and places follow each other") {
  Parameter matrix{.shape = {5, 3}}, vector{.shape = {2}, .read_as = ReadAs::master}, cut{.shape = {4, 6}, .tensor_dim = 1};
  Unit const unit{.name = "u", .parameters = {&matrix, &vector, &cut}};
  UnitLayout const layout(unit, 2, 3);
  REQUIRE(layout.places.size() == 3);
  CHECK(layout.places[0].padded == 3 * 3);  // 5 rows over 2 ranks: 3 and 2
  CHECK(layout.places[1].padded == 1);
  CHECK(layout.places[2].whole == Shape{4, 2});
  CHECK(layout.places[2].padded == 2 * 2);
  CHECK(layout.part(everything) == 9 + 1 + 4);
  std::vector<std::int64_t> columns;
  layout.for_each(everything, [&](std::size_t, auto const&, std::int64_t column) { columns.push_back(column); });
  CHECK(columns == std::vector<std::int64_t>{0, 9, 10});
}

TEST_CASE("a selection lies as if the rest were not there") {
  Parameter a{.shape = {4}}, b{.shape = {4}, .read_as = ReadAs::master}, c{.shape = {4}};
  Unit const unit{.name = "u", .parameters = {&a, &b, &c}};
  UnitLayout const layout(unit, 4, 1);
  auto const compute = [](auto const& place) { return place.read_as == ReadAs::compute; };
  CHECK(layout.part(compute) == 2);
  std::vector<std::pair<std::size_t, std::int64_t>> seen;
  layout.for_each(compute, [&](std::size_t i, auto const&, std::int64_t column) { seen.emplace_back(i, column); });
  CHECK(seen == std::vector<std::pair<std::size_t, std::int64_t>>{{0, 0}, {2, 1}});
}

TEST_CASE("more ranks than rows, and a parameter without rows") {
  Parameter small{.shape = {2, 7}}, empty{.shape = {0, 7}};
  Unit const unit{.name = "u", .parameters = {&small, &empty}};
  UnitLayout const layout(unit, 3, 1);
  CHECK(layout.places[0].padded == 7);
  CHECK(layout.places[1].padded == 0);
}
