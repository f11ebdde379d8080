// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/rounding_bits.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace lierne;

namespace {

std::vector<std::uint32_t> filled(RoundingBits const& bits, std::int64_t first, std::int64_t groups) {
  std::vector<std::uint32_t> out(static_cast<std::size_t>(groups * RoundingBits::group), 7);
  bits.fill(first, groups, out.data());
  return out;
}

// The correlation of two lists of 16-bit numbers, in its standard deviations.
double correlation(std::vector<std::uint32_t> const& a, std::vector<std::uint32_t> const& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] / 65536.0 - 0.5 + 0.5 / 65536) * (b[i] / 65536.0 - 0.5 + 0.5 / 65536);
  return sum * 12 / std::sqrt(static_cast<double>(a.size()));
}

}  // namespace

TEST_CASE("every element takes its slice of its block of the generator") {
  RoundingBits const bits{{.seed = 0x123456789abcdefU, .stream = 0xfedcba9876543210U}};
  for (std::int64_t const first : {std::int64_t{0}, std::int64_t{5}, (std::int64_t{1} << 29) - 2, std::int64_t{1} << 40}) {
    auto const got = filled(bits, first, 4);
    std::vector<std::uint32_t> scalar(got.size());
    detail::fill_rounding_bits(bits.random, first, 4, scalar.data());
    CHECK(got == scalar);
    for (std::int64_t k = 0; k < 256; ++k) {
      auto const i = first * 64 + k;
      auto const b = static_cast<std::uint64_t>(8 * (i / 64) + i % 8);
      auto const r = philox({static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(b >> 32), 0x76543210U, 0xfedcba98U},
                            {0x89abcdefU, 0x01234567U});
      auto const slice = static_cast<std::size_t>(i / 8 % 8);
      auto const expected = slice % 2 == 0 ? r[slice / 2] & 0xffff : r[slice / 2] >> 16;
      REQUIRE(got[static_cast<std::size_t>(k)] == expected);
      REQUIRE(bits[i] == expected);
    }
  }
}

TEST_CASE("bits are even, and independent over elements, calls, fields, names and seeds") {
  auto const size = 1 << 20;
  auto const base = filled(RoundingBits::of(0, "w.exp_avg", 3), 0, size / 64);
  double mean = 0;
  std::vector<double> bins(256);
  for (auto const value : base) {
    mean += value / 65535.0 - 0.5;
    bins[value >> 8] += 1;
  }
  CHECK(std::abs(mean) <= 4 * std::sqrt(size / 12.0));
  double chi = 0;
  for (double const count : bins) chi += (count - size / 256.0) * (count - size / 256.0) / (size / 256.0);
  CHECK(std::abs(chi - 255) <= 4 * std::sqrt(2 * 255.0));
  for (int bit = 0; bit < 16; ++bit) {
    double ones = 0;
    for (auto const value : base) ones += value >> bit & 1;
    CHECK(std::abs(ones - size / 2.0) <= 4 * std::sqrt(size / 4.0));
  }
  for (auto const& other : {RoundingBits::of(0, "w.exp_avg", 4), RoundingBits::of(0, "w.exp_avg_sq", 3),
                            RoundingBits::of(0, "v.exp_avg", 3), RoundingBits::of(1, "w.exp_avg", 3)}) {
    CHECK(std::abs(correlation(base, filled(other, 0, size / 64))) <= 4);
  }
  for (std::ptrdiff_t const lag : {1, 7, 8, 64, 512, 513}) {
    CHECK(std::abs(correlation({base.begin() + lag, base.end()}, {base.begin(), base.end() - lag})) <= 4);
  }
}
