// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/flat_table.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

#include "sample.hpp"

using namespace lierne;

static_assert(spread(std::uint64_t{0}) == 0 && spread(std::uint64_t{1}) != spread(std::uint64_t{2}));

TEST_CASE("a table holds what std::map holds") {
  FlatTable<int> table;
  std::map<std::uint64_t, int> reference;
  Random const random{4, 4};
  for (std::uint64_t i = 0; i < 20000; ++i) {
    auto const key = random.below(i, 3000);
    table[spread(key)] += static_cast<int>(i % 7);
    reference[key] += static_cast<int>(i % 7);
  }
  CHECK(table.size() == reference.size());
  for (std::uint64_t key = 0; key < 3100; ++key) {
    auto const* found = table.find(spread(key));
    auto const expected = reference.find(key);
    REQUIRE((found != nullptr) == (expected != reference.end()));
    if (found) REQUIRE(*found == expected->second);
  }
  std::size_t visited = 0;
  table.for_each([&](std::uint64_t, int) { ++visited; });
  CHECK(visited == reference.size());
}

TEST_CASE("entries of equal hash are told apart by the caller, and grow past every size") {
  FlatTable<int> table{0};
  for (int i = 0; i < 1000; ++i) table.insert(0, i);
  for (int i = 0; i < 1000; ++i) REQUIRE(*table.find(0, [&](int entry) { return entry == i; }) == i);
  CHECK(table.find(0, [](int entry) { return entry == 1000; }) == nullptr);
  CHECK(table.find(1) == nullptr);
}

TEST_CASE("the hash of bytes sees every byte and the length") {
  std::set<std::uint64_t> seen;
  std::size_t count = 0;
  for (std::size_t length = 0; length < 40; ++length) {
    std::string text(length, '\0');
    seen.insert(spread(text)), ++count;
    for (auto& c : text) {
      c = 'x';
      seen.insert(spread(text)), ++count;
      c = '\0';
    }
  }
  CHECK(seen.size() == count);
}
