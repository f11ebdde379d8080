// SPDX-License-Identifier: Apache-2.0
// The counter-based random generator: any element of any stream in any order, the same on every rank.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>

#include "lierne/core/hash.hpp"

namespace lierne {

/// Four words of 32 random bits from a counter and a key: the bijection Philox4x32 with ten rounds.
/// Source: Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (2011).
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    std::uint64_t const a = std::uint64_t{0xd2511f53U} * counter[0];
    std::uint64_t const b = std::uint64_t{0xcd9e8d57U} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9e3779b9U;
    key[1] += 0xbb67ae85U;
  }
  return counter;
}

/// A stream of random numbers that is read by index, so that a rank draws its slice of a tensor alone.
///
/// Math: block b of the stream is philox(counter = (b, stream), key = seed), each number 64 bits wide; block b holds
///   the 64-bit words 2b and 2b + 1. Streams of different (seed, stream) share no block.
/// Numerics: `bits`, `uniform` and `below` are the same on every machine. `normal` goes through the C library's log,
///   sin and cos in double and may differ in the last bit of the double between C libraries.
/// Example: `Random{seed, hash("layers.0.attention.wq.weight")}.normal(i)`.
struct Random {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;

  /// The two 64-bit words of block b.
  constexpr std::array<std::uint64_t, 2> block(std::uint64_t b) const {
    auto const r = philox({low(b), high(b), low(stream), high(stream)}, {low(seed), high(seed)});
    return {r[0] | std::uint64_t{r[1]} << 32, r[2] | std::uint64_t{r[3]} << 32};
  }

  /// The 64 random bits with index i.
  constexpr std::uint64_t bits(std::uint64_t i) const { return block(i / 2)[i % 2]; }

  /// A double in [0, 1), a multiple of 2^-53.
  constexpr double uniform(std::uint64_t i) const { return to_unit(bits(i)); }

  /// An integer in [0, n), n > 0. Numerics: the excess of any value's probability is below n / 2^64.
  constexpr std::uint64_t below(std::uint64_t i, std::uint64_t n) const {
    // The high word of the 128-bit product, in halves: standard C++ has no 128-bit integer.
    std::uint64_t const x = bits(i);
    std::uint64_t const mid = (x >> 32) * low(n) + (low(x) * std::uint64_t{low(n)} >> 32);
    std::uint64_t const cross = std::uint64_t{low(x)} * high(n) + low(mid);
    return (x >> 32) * high(n) + (mid >> 32) + (cross >> 32);
  }

  /// A standard normal double. Two neighbours (2b, 2b + 1) share one block.
  /// Math (Box, Muller): with u, v of block b, sqrt(-2 log(1 - u)) * cos(2 pi v), and the same with sin.
  double normal(std::uint64_t i) const { return normals(i / 2)[i % 2]; }

  /// out[k] = mean + deviation * normal(begin + k), rounded once to T; half the work of single calls.
  template <class T>
  void fill_normal(std::span<T> out, std::uint64_t begin = 0, double mean = 0, double deviation = 1) const {
    for (std::size_t k = 0; k < out.size();) {
      auto const pair = normals((begin + k) / 2);
      for (auto half = (begin + k) % 2; half < 2 && k < out.size(); ++half, ++k)
        out[k] = static_cast<T>(mean + deviation * pair[half]);
    }
  }

  /// The two standard normals of block b.
  std::array<double, 2> normals(std::uint64_t b) const {
    auto const [u, v] = block(b);
    double const radius = std::sqrt(-2 * std::log(1 - to_unit(u)));
    double const angle = 2 * std::numbers::pi * to_unit(v);
    return {radius * std::cos(angle), radius * std::sin(angle)};
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
  static constexpr double to_unit(std::uint64_t x) { return static_cast<double>(x >> 11) * 0x1p-53; }
};

}  // namespace lierne
