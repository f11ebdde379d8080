// SPDX-License-Identifier: Apache-2.0
// The sum of squares of many tensors, in double.
#pragma once

#include <array>
#include <map>
#include <string>

#include "lierne/optim/kernel/bf16.hpp"
#include "lierne/optim/kernel/chunks.hpp"
#include "lierne/optim/kernel/wide_pack.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

namespace detail {

// Four runs side by side, of `quarter` elements each: one stream alone would wait for memory half of the time. Element i
// of run r goes to accumulator 4 r + i mod 4, so the width of the vectors that hold the accumulators does not matter.
inline constexpr std::int64_t norm_runs = 4;
inline constexpr std::int64_t norm_lanes = 4;

template <class T>
double add_up(std::array<double, norm_runs * norm_lanes> sums, T const* rest, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    double const value = static_cast<double>(rest[i]);
    sums[static_cast<std::size_t>(i)] += value * value;
  }
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

template <class T>
double sum_of_squares_by_pairs(T const* values, std::int64_t size) {
  typedef T In __attribute__((vector_size(2 * sizeof(T)), aligned(alignof(T)), may_alias));
  typedef double Pair __attribute__((vector_size(16)));
  auto const quarter = size / (norm_runs * norm_lanes) * norm_lanes;
  Pair s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{};
  auto const square = [](T const* at) {
    auto const pair = __builtin_convertvector(*reinterpret_cast<In const*>(at), Pair);
    return pair * pair;
  };
  for (T const* at = values; at < values + quarter; at += norm_lanes) {
    s0 += square(at), s1 += square(at + 2);
    s2 += square(at + quarter), s3 += square(at + quarter + 2);
    s4 += square(at + 2 * quarter), s5 += square(at + 2 * quarter + 2);
    s6 += square(at + 3 * quarter), s7 += square(at + 3 * quarter + 2);
  }
  return add_up({s0[0], s0[1], s1[0], s1[1], s2[0], s2[1], s3[0], s3[1],
                 s4[0], s4[1], s5[0], s5[1], s6[0], s6[1], s7[0], s7[1]}, values + 4 * quarter, size - 4 * quarter);
}

#ifdef LIERNE_WIDE_PACK
template <class T>
[[gnu::target("avx2")]] double sum_of_squares_by_fours(T const* values, std::int64_t size) {
  typedef T In __attribute__((vector_size(4 * sizeof(T)), aligned(alignof(T)), may_alias));
  typedef double Four __attribute__((vector_size(32)));
  auto const quarter = size / (norm_runs * norm_lanes) * norm_lanes;
  Four sums[norm_runs]{};
  for (T const* at = values; at < values + quarter; at += norm_lanes) {
#pragma GCC unroll 4
    for (std::int64_t run = 0; run < norm_runs; ++run) {
      In const& in = *reinterpret_cast<In const*>(at + run * quarter);
      Four four;
      if constexpr (sizeof(T) == 4) {
        four = __builtin_ia32_cvtps2pd256(in);  // __builtin_convertvector goes by halves
      } else {
        four = in;
      }
      sums[run] += four * four;
    }
  }
  std::array<double, norm_runs * norm_lanes> lanes;
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) lanes[lane] = sums[lane / 4][lane % 4];
  return add_up(lanes, values + 4 * quarter, size - 4 * quarter);
}
#endif

}  // namespace detail

/// Σx² over `size` elements. dtypes: float, double.
/// Numerics: sixteen accumulators in double, the same whatever the instruction set. A float's square is exact in double.
template <class T>
double sum_of_squares(T const* values, std::int64_t size) {
#ifdef LIERNE_WIDE_PACK
  if (wide_packs_run()) return detail::sum_of_squares_by_fours(values, size);
#endif
  return detail::sum_of_squares_by_pairs(values, size);
}

namespace detail {

// bfloat16, which is exact in float; the pieces in order.
inline double sum_of_squares_bf16(Tensor const& tensor, Chunk const& chunk) {
  auto const* const halves = static_cast<Bf16 const*>(tensor.const_data_ptr());
  float values[2048];
  double sum = 0;
  for (auto at = chunk.begin; at < chunk.begin + chunk.size; at += 2048) {
    auto const size = std::min<std::int64_t>(2048, chunk.begin + chunk.size - at);
    decode_bf16(halves + at, values, size);
    sum += sum_of_squares(values, size);
  }
  return sum;
}

}  // namespace detail

/// Σx² over all elements of all tensors. dtypes: float32, float64, bfloat16.
/// Numerics: chunk by chunk in `sum_of_squares`, the chunks in order, so the result does not depend on the number of
/// threads. Tensors that are not on the CPU or not contiguous are summed by ATen, in double, with one wait for each device.
inline double sum_of_squares(std::span<Tensor const> tensors) {
  std::vector<std::int64_t> sizes;
  std::map<std::string, std::vector<Tensor>> elsewhere;
  for (auto const& tensor : tensors) {
    bool const here = tensor.is_cpu() && tensor.is_contiguous();
    sizes.push_back(here ? tensor.numel() : 0);
    if (!here) elsewhere[tensor.device().str()].push_back(tensor);
  }
  double total = 0;
  for (auto const& [device, theirs] : elsewhere) {
    total += at::stack(at::_foreach_norm(theirs, 2, float64)).square().sum().item<double>();
  }
  auto const chunks = cut_into_chunks(sizes, 131072);  // long runs read faster
  std::vector<double> sums(chunks.size());
  for_each_chunk(chunks, [&](Chunk const& chunk, std::size_t index) {
    auto const& tensor = tensors[static_cast<std::size_t>(chunk.array)];
    auto const dtype = tensor.scalar_type();
    sums[index] = dtype == bfloat16 ? detail::sum_of_squares_bf16(tensor, chunk)
                  : dtype == float32
                      ? sum_of_squares(tensor.const_data_ptr<float>() + chunk.begin, chunk.size)
                      : sum_of_squares(tensor.const_data_ptr<double>() + chunk.begin, chunk.size);
  });
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace lierne
