// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

using lierne::philox;
using lierne::Random;
using Words = std::array<std::uint32_t, 4>;

// Known answers of Random123 (kat_vectors, philox4x32 with 10 rounds).
static_assert(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
static_assert(Random{}.block(0)[0] == 0xe169c58d6627e8d5U && Random{}.bits(1) == 0x9b00dbd8bc57ac4cU);

TEST_CASE("below is the high word of the 128-bit product") {
  Random const random{7, 9};
  for (std::uint64_t n : {std::uint64_t{1}, std::uint64_t{10}, std::uint64_t{1} << 32, 0xfedcba9876543210U, ~std::uint64_t{0}})
    for (std::uint64_t i = 0; i < 1000; ++i) {
      __extension__ using Wide = unsigned __int128;
      auto const product = static_cast<Wide>(random.bits(i)) * n;
      REQUIRE(random.below(i, n) == static_cast<std::uint64_t>(product >> 64));
    }
}

TEST_CASE("normal has the moments and the tails of the normal distribution") {
  std::size_t const n = 400000;
  std::vector<double> x(n);
  Random{1, 2}.fill_normal(std::span{x});
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0;
  for (std::size_t i = 0; i < n; ++i) {
    m1 += x[i], m2 += x[i] * x[i], m3 += x[i] * x[i] * x[i], m4 += x[i] * x[i] * x[i] * x[i];
    if (i > 0) lag += x[i] * x[i - 1];
  }
  double const s = 5 / std::sqrt(static_cast<double>(n));  // five standard deviations of a mean of unit variance
  CHECK(std::abs(m1 / n) < s);
  CHECK(std::abs(m2 / n - 1) < s * std::sqrt(2.0));
  CHECK(std::abs(m3 / n) < s * std::sqrt(15.0));
  CHECK(std::abs(m4 / n - 3) < s * std::sqrt(96.0));
  CHECK(std::abs(lag / n) < s);
  // Kolmogorov's distance to the distribution function; 1.95 / sqrt(n) is passed once in a thousand seeds.
  std::ranges::sort(x);
  double distance = 0;
  for (std::size_t i = 0; i < n; ++i)
    distance = std::max(distance, std::abs(std::erfc(-x[i] / std::sqrt(2.0)) / 2 - (i + 0.5) / n));
  CHECK(distance < 1.95 / std::sqrt(static_cast<double>(n)));
}

TEST_CASE("a slice drawn alone is the slice of the whole") {
  Random const random{3, lierne::hash("tok_embeddings.weight")};
  std::vector<float> whole(101);
  random.fill_normal(std::span{whole}, 0, 0.5, 0.02);
  for (std::size_t begin : {0U, 1U, 2U, 57U})
    for (std::size_t length : {0U, 1U, 2U, 5U, 44U}) {
      std::vector<float> part(length);
      random.fill_normal(std::span{part}, begin, 0.5, 0.02);
      for (std::size_t k = 0; k < length; ++k) REQUIRE(part[k] == whole[begin + k]);
    }
  for (std::size_t k = 0; k < whole.size(); ++k)
    REQUIRE(whole[k] == static_cast<float>(0.5 + 0.02 * random.normal(k)));
}

TEST_CASE("seeds and streams are apart, uniform stays below one") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    for (std::uint64_t stream : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 63})
      for (std::uint64_t i : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 33, ~std::uint64_t{0}}) {
        seen.insert(Random{seed, stream}.bits(i));
        double const u = Random{seed, stream}.uniform(i);
        CHECK((u >= 0 && u < 1));
      }
  CHECK(seen.size() == 8 * 4 * 4);
}
