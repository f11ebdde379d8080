// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/shuffle.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "lierne/data/pack.hpp"
#include "sample.hpp"

using namespace lierne;

static_assert(WindowSource<Shuffled<Packed>> && DataStage<ShuffleStage>);

namespace {

using Order = std::vector<std::int64_t>;

Text sample_text() {
  std::vector<std::string> const documents{sample::letters(400, 3)};
  return {sample::byte_tokenizer(), documents, {.validation = 0.1}};
}

}  // namespace

TEST_CASE("the order is that of Fisher and Yates with the counter generator, and stays so") {
  Random const random{42, hash("data.shuffle") + 3};
  Order expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  for (std::uint64_t i = 99; i >= 1; --i) {
    __extension__ using Wide = unsigned __int128;
    auto const other = static_cast<std::size_t>(static_cast<Wide>(random.bits(i)) * (i + 1) >> 64);
    std::swap(expected[i], expected[other]);
  }
  CHECK(shuffled_order(100, 42, 3) == expected);
  // Written down once: a changed order would break every resumed run.
  CHECK(shuffled_order(10, 42, 0) == Order{6, 0, 8, 9, 7, 1, 4, 3, 2, 5});
  CHECK(shuffled_order(10, 42, 1) == Order{0, 7, 9, 5, 4, 1, 8, 6, 2, 3});
}

TEST_CASE("every window comes once an epoch, and epochs differ") {
  auto const text = sample_text();
  auto packed = text | pack(8);
  auto shuffled = text | pack(8) | shuffle(7);
  REQUIRE(shuffled.size() == packed.size());
  std::vector<std::vector<TokenId>> plain, first, second;
  for (std::int64_t i = 0; i < packed.size(); ++i) {
    std::vector<TokenId> out(9);
    packed.read(0, i, out), plain.push_back(out);
    shuffled.read(0, i, out), first.push_back(out);
  }
  for (std::int64_t i = 0; i < packed.size(); ++i) {
    std::vector<TokenId> out(9);
    shuffled.read(1, i, out), second.push_back(out);
    shuffled.read(0, i, out);  // epochs may be read in any order
    REQUIRE(out == first[static_cast<std::size_t>(i)]);
  }
  CHECK(first != plain);
  CHECK(second != first);
  for (auto* windows : {&plain, &first, &second}) std::ranges::sort(*windows);
  CHECK(first == plain);
  CHECK(second == plain);
  CHECK(shuffled.held_out().size() == packed.held_out().size());
}

TEST_CASE("all orders of four windows are equally likely") {
  std::map<Order, int> seen;
  int const trials = 24000;
  for (int seed = 0; seed < trials; ++seed) ++seen[shuffled_order(4, static_cast<std::uint64_t>(seed), 0)];
  CHECK(seen.size() == 24);
  double squares = 0;
  for (auto const& [order, count] : seen) squares += (count - trials / 24.0) * (count - trials / 24.0) / (trials / 24.0);
  CHECK(squares < 49.7);  // chi-squared with 23 degrees of freedom, one in a thousand
}

TEST_CASE("seeds differ, one window and none are orders, too") {
  CHECK(shuffled_order(50, 1, 0) != shuffled_order(50, 2, 0));
  CHECK(shuffled_order(1, 5, 0) == Order{0});
  CHECK(shuffled_order(0, 5, 0).empty());
  auto const text = sample_text();
  CHECK((text | pack(8) | shuffle(1)).fingerprint() != (text | pack(8) | shuffle(2)).fingerprint());
}
