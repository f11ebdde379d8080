// SPDX-License-Identifier: Apache-2.0
// The random bits of stochastic rounding: 16 for every element of a parameter, by its index alone.
#pragma once

#include <string_view>

#include "lierne/core/number.hpp"
#include "lierne/core/random.hpp"
#include "lierne/optim/kernel/wide_codec.hpp"

namespace lierne {

/// The bits of one stored tensor in one call: a stream of the library's counter generator.
///
/// Math: element i takes 16 of the 128 bits of block 8 ⌊i / 64⌋ + i mod 8 of `Random{seed, stream}`: those with index
///   ⌊i / 8⌋ mod 8, from the lowest. So eight neighbours come from eight blocks, as vectors compute them.
struct RoundingBits {
  static constexpr std::int64_t group = 64;  ///< elements of eight blocks

  Random random{};

  /// `key` is the name of parameter and field, `calls` the parameter's finished calls.
  static RoundingBits of(std::uint64_t seed, std::string_view key, std::int64_t calls) {
    return {{seed, hash(std::to_string(calls), hash("#", hash(key)))}};
  }

  /// The bits of one element.
  constexpr std::uint32_t operator[](std::int64_t i) const {
    auto const block = static_cast<std::uint64_t>(i / 64 * 8 + i % 8);
    auto const slice = static_cast<std::size_t>(i / 8 % 8);
    return static_cast<std::uint32_t>(random.block(block)[slice / 4] >> (16 * (slice % 4)) & 0xffff);
  }

  /// out[k] = bits of element 64 first + k, for `groups` groups of 64.
  void fill(std::int64_t first, std::int64_t groups, std::uint32_t* out) const;
};

namespace detail {

inline void fill_rounding_bits(Random const& random, std::int64_t first, std::int64_t groups, std::uint32_t* out) {
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t lane = 0; lane < 8; ++lane) {
      auto const words = random.block(static_cast<std::uint64_t>((first + g) * 8 + lane));
      for (std::size_t slice = 0; slice < 8; ++slice) {
        out[64 * g + 8 * static_cast<std::int64_t>(slice) + lane] =
            static_cast<std::uint32_t>(words[slice / 4] >> (16 * (slice % 4)) & 0xffff);
      }
    }
  }
}

#ifdef LIERNE_WIDE_CODEC
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i all_lanes(std::uint64_t x) {
  return _mm256_set1_epi64x(static_cast<long long>(x));
}

// Words of 32 bits lie in the low halves of lanes of 64, which is what the multiplication reads and fills: four blocks a
// vector, the even ones of eight in `a`, the odd ones in `b`. The high halves hold what nobody reads.
struct PhiloxLanes {
  __m256i word[4];

  [[gnu::target("avx2"), gnu::always_inline]] void round(__m256i const& key0, __m256i const& key1) {
    __m256i const product0 = _mm256_mul_epu32(word[0], _mm256_set1_epi64x(0xd2511f53U));
    __m256i const product1 = _mm256_mul_epu32(word[2], _mm256_set1_epi64x(0xcd9e8d57U));
    // Two rounds overlap in what does not wait for a product.
    word[0] = _mm256_xor_si256(_mm256_srli_epi64(product1, 32), _mm256_xor_si256(word[1], key0));
    word[2] = _mm256_xor_si256(_mm256_srli_epi64(product0, 32), _mm256_xor_si256(word[3], key1));
    word[1] = product1;
    word[3] = product0;
  }
};

[[gnu::target("avx2")]] inline void fill_rounding_bits_wide(Random const& random, std::int64_t first, std::int64_t groups,
                                                            std::uint32_t* out) {
  std::uint32_t const seed0 = static_cast<std::uint32_t>(random.seed), seed1 = static_cast<std::uint32_t>(random.seed >> 32);
  __m256i const stream0 = all_lanes(random.stream), stream1 = all_lanes(random.stream >> 32);
  __m256i const low = _mm256_set1_epi32(0xffff);
  for (std::int64_t g = 0; g < groups; ++g) {
    auto const block = static_cast<std::uint64_t>(first + g) * 8;  // a multiple of 8: adding a lane carries nothing
    __m256i const high = all_lanes(block >> 32);
    PhiloxLanes a{{_mm256_add_epi64(all_lanes(block), _mm256_setr_epi64x(0, 2, 4, 6)), high, stream0, stream1}};
    PhiloxLanes b{{_mm256_add_epi64(all_lanes(block), _mm256_setr_epi64x(1, 3, 5, 7)), high, stream0, stream1}};
    std::uint32_t key0 = seed0, key1 = seed1;
    for (int round = 0; round < 10; ++round) {
      __m256i const k0 = all_lanes(key0), k1 = all_lanes(key1);
      a.round(k0, k1);
      b.round(k0, k1);
      key0 += 0x9e3779b9U;
      key1 += 0xbb67ae85U;
    }
    for (int w = 0; w < 4; ++w) {
      __m256i const both = _mm256_blend_epi32(a.word[w], _mm256_slli_epi64(b.word[w], 32), 0xaa);
      auto* const to = reinterpret_cast<__m256i*>(out + 64 * g + 16 * w);
      _mm256_storeu_si256(to, _mm256_and_si256(both, low));
      _mm256_storeu_si256(to + 1, _mm256_srli_epi32(both, 16));
    }
  }
}
#endif

}  // namespace detail

inline void RoundingBits::fill(std::int64_t first, std::int64_t groups, std::uint32_t* out) const {
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) return detail::fill_rounding_bits_wide(random, first, groups, out);
#endif
  detail::fill_rounding_bits(random, first, groups, out);
}

}  // namespace lierne
