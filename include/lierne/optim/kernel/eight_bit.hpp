// SPDX-License-Identifier: Apache-2.0
// Blocks of numbers in 8 bits each: codes of a dynamic map, and the largest magnitude of the block.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "lierne/optim/kernel/wide_codec.hpp"

namespace lierne {

/// The numbers that codes stand for, in units of the block's largest magnitude. Both maps are ascending.
///
/// Math: seven decades i = 0 ... 6; decade i cuts (0.1, 1] into n_i equal bins and holds 10^(i-6) times their middles, with
///   n_i = 2^i and both signs, or n_i = 2^(i+1) without sign; beside them 0 and 1 (and no -1).
/// Numerics: computed in double and rounded to float. A number takes the code of the nearest one, where a magnitude within
///   a few units in its last place of the middle between two may take either. A positive number never takes the code of 0
///   in the map without sign: a second moment that vanished would make the step that divides by its root as large as 1/ε.
/// Source: Dettmers, Lewis, Shleifer and Zettlemoyer, arXiv 2110.02861 (dynamic tree quantisation).
struct EightBitMap {
  static constexpr std::int64_t block = 256;  ///< elements at most

  float values[256]{};
  int zero = 0;  ///< the code of 0

  // A magnitude m in decade d - 1 (0: below all) has the position base[d] + min(last[d], ⌊(m - low[d]) · scale[d]⌋).
  alignas(32) float low[8]{};
  alignas(32) float scale[8]{};
  alignas(32) std::int32_t last[8]{};
  alignas(32) std::int32_t base[8]{};
  float starts[8]{};  ///< from which magnitude on decade d + 1 is nearer; starts[7]: from which 1 is

  constexpr explicit EightBitMap(bool with_sign) {
    zero = with_sign ? 127 : 0;
    double tens = 1e-6, before = 0;
    int position = 1;
    for (int i = 0; i < 7; ++i, tens *= 10) {
      int const bins = with_sign ? 1 << i : 2 << i;
      double const width = 0.9 * tens / bins;
      low[i + 1] = static_cast<float>(0.1 * tens);
      scale[i + 1] = static_cast<float>(1 / width);
      last[i + 1] = bins - 1;
      base[i + 1] = position;
      starts[i] = static_cast<float>((before + 0.1 * tens + width / 2) / 2);
      for (int k = 0; k < bins; ++k, ++position) {
        before = 0.1 * tens + (k + 0.5) * width;
        values[zero + position] = static_cast<float>(before);
        if (with_sign) values[zero - position] = static_cast<float>(-before);
      }
    }
    starts[7] = static_cast<float>((before + 1) / 2);
    values[255] = 1;
  }

  /// The code of x, |x| ≤ 1.
  constexpr std::uint8_t code(float x) const {
    float const magnitude = x < 0 ? -x : x;
    int decade = 0;
    for (int i = 0; i < 7; ++i) decade += magnitude >= starts[i];
    int const bin = static_cast<int>((magnitude - low[decade]) * scale[decade]);
    int position = base[decade] + (bin < last[decade] ? bin : last[decade]) + (magnitude >= starts[7]);
    if (zero == 0) return static_cast<std::uint8_t>(x < 0 ? 0 : position < (x > 0) ? 1 : position);
    return static_cast<std::uint8_t>(x < 0 ? zero - (position < 127 ? position : 127) : zero + position);
  }
};

inline constexpr EightBitMap signed_map(true);
inline constexpr EightBitMap unsigned_map(false);

namespace detail {

// Bits of magnitudes grow with them; infinity and NaN are above all finite ones.
inline constexpr std::int32_t infinite_bits = 0x7f800000;

inline std::int32_t largest_magnitude(float const* values, std::int64_t size) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    auto const bits = std::bit_cast<std::int32_t>(values[i]) & 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

#ifdef LIERNE_WIDE_CODEC
[[gnu::target("avx2")]] inline std::int32_t largest_magnitude_wide(float const* values, std::int64_t size) {
  auto const magnitude = _mm256_set1_epi32(0x7fffffff);
  auto largest = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    auto const bits = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(values + i));
    largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
  }
  alignas(32) std::int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), largest);
  auto result = largest_magnitude(values + i, size - i);
  for (auto const lane : lanes) result = lane > result ? lane : result;
  return result;
}

// -1 where a magnitude has reached a start.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i reached(__m256 const& magnitude, float start) {
  return _mm256_castps_si256(_mm256_cmp_ps(magnitude, _mm256_set1_ps(start), _CMP_GE_OQ));
}

// As EightBitMap::code, eight at a time; gives how many it did.
[[gnu::target("avx2")]] inline std::int64_t encode_codes_wide(EightBitMap const& map, float const* values, float absmax,
                                                              std::uint8_t* codes, std::int64_t size) {
  auto const low = _mm256_load_ps(map.low), scale = _mm256_load_ps(map.scale);
  auto const last = _mm256_load_si256(reinterpret_cast<__m256i const*>(map.last));
  auto const base = _mm256_load_si256(reinterpret_cast<__m256i const*>(map.base));
  auto const divisor = _mm256_set1_ps(absmax), zero = _mm256_setzero_ps();
  auto const sign_bit = _mm256_set1_ps(-0.0f);
  bool const with_sign = map.zero != 0;
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    auto const x = _mm256_div_ps(_mm256_loadu_ps(values + i), divisor);
    auto const magnitude = _mm256_andnot_ps(sign_bit, x);
    auto const lower = _mm256_add_epi32(_mm256_add_epi32(reached(magnitude, map.starts[0]), reached(magnitude, map.starts[1])),
                                        _mm256_add_epi32(reached(magnitude, map.starts[2]), reached(magnitude, map.starts[3])));
    auto const upper = _mm256_add_epi32(_mm256_add_epi32(reached(magnitude, map.starts[4]), reached(magnitude, map.starts[5])),
                                        reached(magnitude, map.starts[6]));
    auto const decade = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_add_epi32(lower, upper));
    auto const away = _mm256_sub_ps(magnitude, _mm256_permutevar8x32_ps(low, decade));
    auto const bin = _mm256_cvttps_epi32(_mm256_mul_ps(away, _mm256_permutevar8x32_ps(scale, decade)));
    auto position = _mm256_min_epi32(bin, _mm256_permutevar8x32_epi32(last, decade));
    position = _mm256_add_epi32(position, _mm256_permutevar8x32_epi32(base, decade));
    position = _mm256_sub_epi32(position, reached(magnitude, map.starts[7]));
    auto const negative = _mm256_castps_si256(_mm256_cmp_ps(x, zero, _CMP_LT_OQ));
    if (with_sign) {
      auto const most = _mm256_add_epi32(_mm256_set1_epi32(128), negative);
      position = _mm256_min_epi32(position, most);
      position = _mm256_sub_epi32(_mm256_xor_si256(position, negative), negative);
      position = _mm256_add_epi32(position, _mm256_set1_epi32(127));
    } else {
      auto const positive = _mm256_castps_si256(_mm256_cmp_ps(x, zero, _CMP_GT_OQ));
      position = _mm256_max_epi32(position, _mm256_srli_epi32(positive, 31));
      position = _mm256_andnot_si256(negative, position);
    }
    auto const words = _mm_packus_epi32(_mm256_castsi256_si128(position), _mm256_extracti128_si256(position, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), _mm_packus_epi16(words, words));
  }
  return i;
}

// Loads one by one: a gather is slower.
[[gnu::target("avx2")]] inline std::int64_t decode_codes_wide(EightBitMap const& map, std::uint8_t const* codes, float absmax,
                                                              float* values, std::int64_t size) {
  auto const* const of = map.values;
  auto const scale = _mm256_set1_ps(absmax);
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    auto const* const c = codes + i;
    auto const read = _mm256_setr_ps(of[c[0]], of[c[1]], of[c[2]], of[c[3]], of[c[4]], of[c[5]], of[c[6]], of[c[7]]);
    _mm256_storeu_ps(values + i, _mm256_mul_ps(read, scale));
  }
  return i;
}
#endif

}  // namespace detail

/// Writes the codes of one block of up to 256 numbers, and gives its largest magnitude. A block of zeros has the magnitude
/// 0. One with a number that is not finite has the magnitude NaN and reads as NaN as a whole, so that a broken
/// moment shows.
inline float encode_eight_bit(EightBitMap const& map, float const* values, std::uint8_t* codes, std::int64_t size) {
  std::int32_t bits;
#ifdef LIERNE_WIDE_CODEC
  bool const wide = wide_codecs_run();
  bits = wide ? detail::largest_magnitude_wide(values, size) : detail::largest_magnitude(values, size);
#else
  bits = detail::largest_magnitude(values, size);
#endif
  if (bits == 0 || bits >= detail::infinite_bits) {
    for (std::int64_t i = 0; i < size; ++i) codes[i] = static_cast<std::uint8_t>(map.zero);
    return bits == 0 ? 0 : std::bit_cast<float>(0x7fc00000);
  }
  float const absmax = std::bit_cast<float>(bits);
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide) i = detail::encode_codes_wide(map, values, absmax, codes, size);
#endif
  for (; i < size; ++i) codes[i] = map.code(values[i] / absmax);
  return absmax;
}

/// Reads a block.
inline void decode_eight_bit(EightBitMap const& map, std::uint8_t const* codes, float absmax, float* values,
                             std::int64_t size) {
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) i = detail::decode_codes_wide(map, codes, absmax, values, size);
#endif
  for (; i < size; ++i) values[i] = map.values[codes[i]] * absmax;
}

}  // namespace lierne
