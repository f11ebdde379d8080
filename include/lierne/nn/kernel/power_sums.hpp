// SPDX-License-Identifier: Apache-2.0
// Sums of powers of an activation, and its largest magnitude, in one pass over it.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne::kernel {

/// Σx, Σx², Σx³, Σx⁴ and max |x| as five numbers of float64 on the tensor's device; with `powers` 2 the third and the
/// fourth stay 0. An empty tensor has the maximum -inf; NaN makes all of them NaN.
/// Numerics: in float64, element by element. On the CPU the order of the sums does not depend on the number of threads.
Tensor power_sums(Tensor const& x, int powers);

#if LIERNE_BODIES

namespace detail {

constexpr std::int64_t power_block = 8192;  // elements whose sums are one partial result

struct PowerLanes {
  double sum[lanes] = {}, square[lanes] = {}, cube[lanes] = {}, fourth[lanes] = {};
  float largest[lanes] = {};
};

template <bool high>
[[gnu::always_inline]] inline void add_power(float value, int lane, PowerLanes& at) {
  float const magnitude = value < 0 ? -value : value;
  double const wide = value, square = wide * wide;
  at.sum[lane] += wide;
  at.square[lane] += square;
  if constexpr (high) {
    at.cube[lane] += square * wide;
    at.fourth[lane] += square * square;
  }
  at.largest[lane] = at.largest[lane] < magnitude ? magnitude : at.largest[lane];
}

template <bool high>
[[gnu::always_inline]] inline void add_powers(float const* x, std::int64_t count, PowerLanes& at) {
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
#pragma omp simd
    for (int lane = 0; lane < lanes; ++lane) add_power<high>(x[i + lane], lane, at);
  }
  for (int lane = 0; i + lane < count; ++lane) add_power<high>(x[i + lane], lane, at);
}

template <bool high>
std::array<double, 5> add_powers(Tensor const& x) {
  Source const source(x);
  auto const count = x.numel(), blocks = (count + power_block - 1) / power_block;
  std::vector<std::array<double, 5>> parts(static_cast<std::size_t>(blocks));
  auto* const part_of = parts.data();
  parallel_vectors(blocks, 4, [=](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
    float buffer[power_block];
    for (auto b = begin; b < end; ++b) {
      auto const from = b * power_block, size = count - from < power_block ? count - from : power_block;
      PowerLanes at;
      add_powers<high>(source.tile(from, size, buffer), size, at);
      for (int half = lanes / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; ++l) {
          at.sum[l] += at.sum[l + half];
          at.square[l] += at.square[l + half];
          at.cube[l] += at.cube[l + half];
          at.fourth[l] += at.fourth[l + half];
          at.largest[l] = at.largest[l] < at.largest[l + half] ? at.largest[l + half] : at.largest[l];
        }
      }
      part_of[b] = {at.sum[0], at.square[0], at.cube[0], at.fourth[0], at.largest[0]};
    }
  });
  std::array<double, 5> total{};
  for (auto const& part : parts) {
    for (std::size_t i = 0; i < 4; ++i) total[i] += part[i];
    total[4] = std::max(total[4], part[4]);
  }
  return total;
}

/// The same through ATen, some elements at a time: a wide copy of all of them would be a second activation and more.
inline Tensor power_sums_by_aten(Tensor const& x, int powers) {
  auto total = at::zeros({5}, x.options().dtype(float64));
  auto largest = at::zeros({}, total.options());
  for (auto const& part : x.flatten().split(std::int64_t{1} << 22)) {
    auto const wide = part.to(float64), square = wide.square();
    total[0] += wide.sum();
    total[1] += square.sum();
    if (powers > 2) {
      total[2] += (square * wide).sum();
      total[3] += square.square().sum();
    }
    largest = at::maximum(largest, wide.abs().amax());
  }
  total[4] = largest;
  return total;
}

}  // namespace detail

LIERNE_INLINE Tensor power_sums(Tensor const& x, int powers) {
  auto const doubles = at::TensorOptions().dtype(float64);
  Tensor sums;
  if (x.numel() == 0) {
    sums = at::zeros({5}, doubles.device(x.device()));
    sums[4] = -std::numeric_limits<double>::infinity();
    return sums;
  }
  if (!fusible(x)) {
    sums = detail::power_sums_by_aten(x, powers);
  } else {
    auto const whole = x.contiguous();
    auto const numbers = powers > 2 ? detail::add_powers<true>(whole) : detail::add_powers<false>(whole);
    sums = at::empty({5}, doubles);
    std::copy(numbers.begin(), numbers.end(), sums.mutable_data_ptr<double>());
  }
  // Comparisons pass NaN by; the sum of squares does not.
  return at::where(sums[1].isnan(), sums[1], sums);
}

#endif

}  // namespace lierne::kernel
