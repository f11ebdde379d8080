// SPDX-License-Identifier: Apache-2.0
// Between float32 and bfloat16: to the nearest, stochastically, and in pairs that compensate each other.
#pragma once

#include <bit>
#include <cstdint>

#include "lierne/optim/kernel/wide_codec.hpp"

namespace lierne {

/// The bits of a bfloat16: the upper half of a float's.
using Bf16 = std::uint16_t;

/// Exact.
constexpr float from_bf16(Bf16 bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// To the nearest, halves to even; NaN is 0x7fc0, as LibTorch has it.
constexpr Bf16 to_bf16(float value) {
  auto const bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return 0x7fc0;
  return static_cast<Bf16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Away from zero with probability (part that does not fit) / 2^16, for 16 uniform random bits, else towards zero: the
/// mean is the value. What fits, infinities too, stays as it is. Beyond the largest bf16 infinity takes part.
constexpr Bf16 to_bf16(float value, std::uint32_t random) {
  if (value != value) return 0x7fc0;
  return static_cast<Bf16>((std::bit_cast<std::uint32_t>(value) + random) >> 16);
}

/// A number as a sum of two: `weight` its nearest bf16, `rest` what that leaves.
/// Numerics: 17 bits or more; a rest that is not finite (the weight overflowed, or is no number) counts as 0.
struct Bf16Pair {
  Bf16 weight = 0;
  Bf16 rest = 0;

  static constexpr Bf16Pair of(float value) {
    auto const weight = to_bf16(value);
    float const rest = value - from_bf16(weight);
    return {weight, rest - rest == 0 ? to_bf16(rest) : Bf16{0}};
  }
  constexpr float value() const { return from_bf16(weight) + from_bf16(rest); }
};

namespace detail {

#ifdef LIERNE_WIDE_CODEC
// Eight at a time; the callers' loops go on with the rest, one by one.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256 load_bf16(Bf16 const* from) {
  auto const bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(from)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
// The lower halves of lanes.
[[gnu::target("avx2"), gnu::always_inline]] inline void store_halves(__m256i const& bits, Bf16* to) {
  auto const packed = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
}
// The upper halves of `rounded`, moved down; NaN where `value` is.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i upper_halves(__m256 const& value, __m256i const& rounded) {
  auto const nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(_mm256_srli_epi32(rounded, 16), _mm256_set1_epi32(0x7fc0), nan);
}
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i nearest_bf16(__m256 const& value) {
  auto const bits = _mm256_castps_si256(value);
  auto const odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}

[[gnu::target("avx2")]] inline std::int64_t decode_bf16_wide(Bf16 const* from, float* to, std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) _mm256_storeu_ps(to + i, load_bf16(from + i));
  return i;
}
[[gnu::target("avx2")]] inline std::int64_t encode_bf16_wide(float const* from, Bf16* to, std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    auto const value = _mm256_loadu_ps(from + i);
    store_halves(upper_halves(value, nearest_bf16(value)), to + i);
  }
  return i;
}
[[gnu::target("avx2")]] inline std::int64_t encode_bf16_wide(float const* from, std::uint32_t const* random, Bf16* to,
                                                             std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    auto const value = _mm256_loadu_ps(from + i);
    auto const bits = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(random + i));
    store_halves(upper_halves(value, _mm256_add_epi32(_mm256_castps_si256(value), bits)), to + i);
  }
  return i;
}
[[gnu::target("avx2")]] inline std::int64_t decode_pairs_wide(Bf16 const* weight, Bf16 const* rest, float* to,
                                                              std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) _mm256_storeu_ps(to + i, _mm256_add_ps(load_bf16(weight + i), load_bf16(rest + i)));
  return i;
}
[[gnu::target("avx2")]] inline std::int64_t encode_pairs_wide(float const* from, Bf16* weight, Bf16* rest,
                                                              std::int64_t size) {
  std::int64_t i = 0;
  for (; i + 8 <= size; i += 8) {
    auto const value = _mm256_loadu_ps(from + i);
    auto const rounded = upper_halves(value, nearest_bf16(value));
    store_halves(rounded, weight + i);
    auto const left = _mm256_sub_ps(value, _mm256_castsi256_ps(_mm256_slli_epi32(rounded, 16)));
    auto const finite = _mm256_cmp_ps(_mm256_sub_ps(left, left), _mm256_setzero_ps(), _CMP_EQ_OQ);
    auto const kept = _mm256_and_ps(left, finite);
    store_halves(upper_halves(kept, nearest_bf16(kept)), rest + i);
  }
  return i;
}
#endif

}  // namespace detail

inline void decode_bf16(Bf16 const* from, float* to, std::int64_t size) {
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) i = detail::decode_bf16_wide(from, to, size);
#endif
  for (; i < size; ++i) to[i] = from_bf16(from[i]);
}

inline void encode_bf16(float const* from, Bf16* to, std::int64_t size) {
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) i = detail::encode_bf16_wide(from, to, size);
#endif
  for (; i < size; ++i) to[i] = to_bf16(from[i]);
}

/// Stochastically, element i by the lower 16 bits of `random[i]`, whose upper ones are 0.
inline void encode_bf16(float const* from, std::uint32_t const* random, Bf16* to, std::int64_t size) {
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) i = detail::encode_bf16_wide(from, random, to, size);
#endif
  for (; i < size; ++i) to[i] = to_bf16(from[i], random[i]);
}

inline void decode_pairs(Bf16 const* weight, Bf16 const* rest, float* to, std::int64_t size) {
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) i = detail::decode_pairs_wide(weight, rest, to, size);
#endif
  for (; i < size; ++i) to[i] = Bf16Pair{weight[i], rest[i]}.value();
}

inline void encode_pairs(float const* from, Bf16* weight, Bf16* rest, std::int64_t size) {
  std::int64_t i = 0;
#ifdef LIERNE_WIDE_CODEC
  if (wide_codecs_run()) i = detail::encode_pairs_wide(from, weight, rest, size);
#endif
  for (; i < size; ++i) {
    auto const pair = Bf16Pair::of(from[i]);
    weight[i] = pair.weight;
    rest[i] = pair.rest;
  }
}

}  // namespace lierne
