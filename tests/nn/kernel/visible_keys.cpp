// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/visible_keys.hpp"

#include <doctest/doctest.h>

#include <type_traits>

using namespace lierne;
using kernel::VisibleKeys;

static_assert(std::is_aggregate_v<VisibleKeys>);

namespace {
Tensor first(std::vector<std::int64_t> const& rows, std::int64_t batch = 1) {
  return at::tensor(rows, at::TensorOptions().dtype(int64)).view({batch, -1});
}
}  // namespace

TEST_CASE("a table is true where the definition holds, pair by pair") {
  auto const starts = first({0, 0, 1, 3, 2, 0, 0, 0, 2, 2, 5, 5}, 2);
  for (std::int64_t const block : {0, 1, 2, 4, 6, 100}) {
    for (auto const& visible : {VisibleKeys{.block = block}, VisibleKeys{.first = starts, .block = block}}) {
      CAPTURE(block);
      auto const table = kernel::visible_table(visible, 6, at::kCPU);
      REQUIRE(table.sizes() == Shape{visible.first.defined() ? 2 : 1, 6, 6});
      for (std::int64_t b = 0; b < 2; ++b) {
        auto const& of_sequence = table[table.size(0) == 1 ? 0 : b];
        CHECK(at::equal(kernel::visible_rows(visible, b, 2, 3, at::kCPU), of_sequence.narrow(0, 2, 3).narrow(1, 0, 5)));
      }
      for (std::int64_t b = 0; b < table.size(0); ++b) {
        for (std::int64_t t = 0; t < 6; ++t) {
          for (std::int64_t s = 0; s < 6; ++s) {
            bool seen = s <= t;
            if (visible.first.defined()) seen = seen && s >= starts[b][t].item<std::int64_t>();
            if (block > 0) seen = seen && s / block == t / block;
            CHECK(table[b][t][s].item<bool>() == seen);
          }
        }
      }
    }
  }
}

TEST_CASE("nothing given leaves nothing out but what lies ahead") {
  CHECK(VisibleKeys{}.all());
  CHECK_FALSE(VisibleKeys{.block = 3}.all());
  CHECK_FALSE(VisibleKeys{.first = first({0})}.all());
  CHECK(at::equal(kernel::visible_table({}, 5, at::kCPU)[0], at::ones({5, 5}, at::TensorOptions().dtype(at::kBool)).tril()));
  CHECK(kernel::visible_table({.block = 2}, 1, at::kCPU).all().item<bool>());
}

TEST_CASE("first keys that no attention can use are refused") {
  kernel::check_visible({}, 2, 3);
  kernel::check_visible({.first = first({0, 1, 2})}, 2, 3);
  kernel::check_visible({.first = first({0, 1, 2, 0, 0, 0}, 2)}, 2, 3);
  CHECK_THROWS_WITH_AS(kernel::check_visible({.first = first({0, 1})}, 2, 3),
                       "attention: expected first keys of int64 and shape [2 or 1, 3], found Long and [1, 2]", ShapeError);
  CHECK_THROWS_AS(kernel::check_visible({.first = first({0, 1, 2}).to(at::kInt)}, 2, 3), ShapeError);
  CHECK_THROWS_AS(kernel::check_visible({.first = first({0, 1, 2, 0, 0, 0, 0, 0, 0}, 3)}, 2, 3), ShapeError);
  CHECK_THROWS_WITH_AS(kernel::check_visible({.first = first({0, 2, 2})}, 1, 3),
                       "attention: expected the first key of query 1 in [0, 1], found 2", ArgumentError);
  CHECK_THROWS_WITH_AS(kernel::check_visible({.first = first({0, -1, 2})}, 1, 3),
                       "attention: expected the first key of query 1 in [0, 1], found -1", ArgumentError);
  CHECK_THROWS_WITH_AS(kernel::check_visible({.block = -1}, 1, 3),
                       "attention: expected a block of at least 1, or 0 for none, found -1", ArgumentError);
}
