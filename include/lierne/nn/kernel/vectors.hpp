// SPDX-License-Identifier: Apache-2.0
// Plain loops compiled for the processor's vectors: AVX2 where there is one, without any compiler option.
#pragma once

#include <bit>
#include <cstdint>

#include "lierne/tensor/parallel_for.hpp"

// A fused pass is one lambda full of plain loops. `with_vectors` compiles it twice, for the baseline and for AVX2, and
// chooses at run time. Everything called in the lambda must be inlined into it to share its instruction set, hence the
// always_inline attributes. The arithmetic is elementwise or by `lane_sum`, so body and tail of a loop, and both
// instruction sets, give the same bits.

namespace lierne::kernel {

namespace detail {
#if defined(__x86_64__)
template <class Body>
[[gnu::target("avx2"), gnu::noinline]] void with_avx2(Body const& body) {
  body();
}
inline bool has_avx2() {
  static bool const has = __builtin_cpu_supports("avx2");
  return has;
}
#endif
}  // namespace detail

/// Calls `body`, a lambda marked `__attribute__((always_inline))`, compiled for the widest vectors at hand.
template <class Body>
void with_vectors(Body const& body) {
#if defined(__x86_64__)
  if (detail::has_avx2()) return detail::with_avx2(body);
#endif
  body();
}

/// `with_vectors` on ranges that cover [0, count) in parallel: `body(begin, end)`.
template <class Body>
void parallel_vectors(std::int64_t count, std::int64_t grain, Body const& body) {
  parallel_for(0, count, grain, [&](std::int64_t begin, std::int64_t end) {
    with_vectors([&]() __attribute__((always_inline)) { body(begin, end); });
  });
}

/// The number of partial results of a lane_fold; a fixed one, so that its bits depend on no vector width.
inline constexpr int lanes = 16;

/// Folds term(0) ... term(count - 1) with `join`: term i into lane i mod 16, then the lanes pairwise. Every lane starts
/// as `start`.
template <class Term, class Join>
[[gnu::always_inline]] inline float lane_fold(std::int64_t count, float start, Term const& term, Join const& join) {
  float lane[lanes];
  for (int l = 0; l < lanes; ++l) lane[l] = start;
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
#pragma omp simd
    for (int l = 0; l < lanes; ++l) lane[l] = join(lane[l], term(i + l));
  }
  for (int l = 0; i + l < count; ++l) lane[l] = join(lane[l], term(i + l));
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lane[l] = join(lane[l], lane[l + half]);
  }
  return lane[0];
}

/// The sum of term(0) ... term(count - 1).
template <class Term>
[[gnu::always_inline]] inline float lane_sum(std::int64_t count, Term const& term) {
  return lane_fold(count, 0.0F, term, [](float a, float b) __attribute__((always_inline)) { return a + b; });
}

/// e^x. Numerics: within 2 ulp for -87 ≤ x ≤ 88; arguments outside are moved to the nearer bound (e^-87 is 1.6e-38).
class Exponential {
 public:
  [[gnu::always_inline]] Exponential() {
    // With bounds that the compiler knows it branches instead of clamping, and the loop is not vectorised.
    asm("" : "+m"(low_), "+m"(high_));
  }

  [[gnu::always_inline]] float operator()(float x) const {
    x = x < low_ ? low_ : x;
    x = x > high_ ? high_ : x;
    // x = n ln 2 + r with |r| ≤ ln(2)/2; adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
    float const shifted = x * 1.44269504F + 12582912.0F;
    float const n = shifted - 12582912.0F;
    float const r = x - n * 0.693359375F + n * 2.12194440e-4F;
    float p = 1.9875691500e-4F;  // the minimax polynomial of Cephes' expf
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * (r * r) + r + 1.0F;
    auto const exponent = (std::bit_cast<std::uint32_t>(shifted) << 23) + (127U << 23);
    return p * std::bit_cast<float>(exponent);
  }

 private:
  float low_ = -87.0F;
  float high_ = 88.0F;
};

}  // namespace lierne::kernel
