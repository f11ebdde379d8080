// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/dispatch.hpp"

#include <doctest/doctest.h>

#include <ATen/Parallel.h>

using namespace lierne;

namespace {

Tensor choices_of(std::vector<std::int64_t> const& values, std::int64_t per_token) {
  return at::tensor(at::ArrayRef<std::int64_t>(values)).view({-1, per_token});
}
Tensor random_choices(std::int64_t tokens, std::int64_t per_token, std::int64_t experts) {
  return at::randint(experts, {tokens, per_token}, at::TensorOptions().dtype(int64));
}

std::vector<std::int64_t> host(Tensor const& t) {
  auto const wide = t.to(int64).contiguous();
  auto const* at = wide.const_data_ptr<std::int64_t>();
  return {at, at + wide.numel()};
}

/// A stable sort written as a loop over experts.
std::vector<std::int64_t> sorted_slots(Tensor const& choices, std::int64_t experts) {
  auto const chosen = host(choices.flatten());
  std::vector<std::int64_t> order;
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::size_t s = 0; s < chosen.size(); ++s) {
      if (chosen[s] == e) order.push_back(static_cast<std::int64_t>(s));
    }
  }
  return order;
}

/// The rows that serve a slot, expert by expert, must be that sort, inside aligned bounds; the rest serves none.
void check_dispatch(kernel::Dispatch const& found, Tensor const& choices, std::int64_t experts, std::int64_t multiple) {
  auto const slots = choices.numel();
  auto const chosen = host(choices.flatten()), rows = host(found.slot_of_row), places = host(found.row_of_slot);
  auto const ends = host(found.ends);
  REQUIRE(ends.size() == experts);
  std::vector<std::int64_t> served;
  std::int64_t begin = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    auto const end = ends[e];
    CHECK(end % multiple == 0);
    REQUIRE(end <= static_cast<std::int64_t>(rows.size()));
    CHECK((multiple == 1 || end > begin));
    for (auto r = begin; r < end; ++r) {
      if (rows[r] == slots) continue;
      CHECK(chosen[rows[r]] == e);
      CHECK(places[rows[r]] == r);
      served.push_back(rows[r]);
    }
    begin = end;
  }
  CHECK(served == sorted_slots(choices, experts));
  for (auto r = begin; r < static_cast<std::int64_t>(rows.size()); ++r) CHECK(rows[r] == slots);
}

}  // namespace

TEST_CASE("rows are the slots sorted by expert, in their order") {
  auto const small = choices_of({2, 0, 1, 2, 2, 0}, 2);
  auto const found = kernel::dispatch(small, 4);
  CHECK(host(found.slot_of_row) == std::vector<std::int64_t>{1, 5, 2, 0, 3, 4});
  CHECK(host(found.ends) == std::vector<std::int64_t>{2, 3, 6, 6});
  at::manual_seed(1);
  for (std::int64_t multiple : {1, 8, 16}) {
    for (std::int64_t experts : {1, 3, 8, 64}) {
      for (std::int64_t per_token : {1, 2, 5}) {
        auto const choices = random_choices(37, per_token, experts);
        CAPTURE(multiple);
        CAPTURE(experts);
        check_dispatch(kernel::dispatch(choices, experts, multiple), choices, experts, multiple);
      }
    }
  }
}

TEST_CASE("no token, one token, all tokens to one expert") {
  for (std::int64_t multiple : {1, 8}) {
    for (auto const& choices : {random_choices(0, 2, 4), choices_of({3, 1}, 2), choices_of({2, 2, 2, 2, 2}, 1)}) {
      check_dispatch(kernel::dispatch(choices, 4, multiple), choices, 4, multiple);
    }
  }
}

TEST_CASE("counts are a loop's, and those of the rows") {
  auto const choices = random_choices(200, 3, 7);
  std::vector<std::int64_t> expected(7, 0);
  for (auto e : host(choices.flatten())) ++expected[e];
  auto const counts = kernel::expert_counts(choices, 7);
  CHECK(host(counts) == expected);
  CHECK(host(counts.cumsum(0)) == host(kernel::dispatch(choices, 7).ends));
  CHECK(host(kernel::expert_counts(random_choices(0, 1, 3), 3)) == std::vector<std::int64_t>{0, 0, 0});
}

TEST_CASE("the host's way and the device's way agree") {
  // Rows in blocks of one, but as a device makes them: the places between the blocks are what differs.
  auto const choices = random_choices(90, 2, 5);
  auto const tight = kernel::dispatch(choices, 5), wide = kernel::dispatch(choices, 5, 4);
  auto const served = wide.slot_of_row.masked_select(wide.slot_of_row < choices.numel());
  CHECK(served.equal(tight.slot_of_row));
  CHECK(wide.slot_of_row.index_select(0, wide.row_of_slot).equal(at::arange(choices.numel())));
}

TEST_CASE("impossible choices are refused") {
  CHECK_THROWS_WITH_AS(kernel::dispatch(choices_of({0, 4}, 1), 4), "dispatch: expected an expert below 4, found 4", ShapeError);
  CHECK_THROWS_AS(kernel::dispatch(choices_of({0, -1}, 1), 4), ShapeError);
  CHECK_THROWS_WITH_AS(kernel::dispatch(at::zeros({3}, at::TensorOptions().dtype(int64)), 4),
                       "dispatch: expected choices [T, K] of int64 and positive numbers, found [3] of Long, 4 experts, rows by 1",
                       ShapeError);
  // 2^31 rows: the tensor is one element, seen often, so that nothing is allocated.
  auto const many = at::zeros({1, 1}, at::TensorOptions().dtype(int64)).expand({std::int64_t{1} << 30, 2});
  CHECK_THROWS_WITH_AS(kernel::dispatch(many, 4),
                       "dispatch: expected fewer than 2^31 rows, found 2147483648 (use smaller micro-batches)", ShapeError);
}
