// SPDX-License-Identifier: Apache-2.0
// The sum of squares of many tensors, in double.
#pragma once

#include <array>

#include "lierne/optim/kernel/chunks.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// Σx² over `size` elements.
/// Numerics: 16 double accumulators, element i goes to accumulator i mod 16, summed in order at the end: the result does
/// not depend on the instruction set. A float's square is exact in double.
template <class T>
double sum_of_squares(T const* values, std::int64_t size) {
  constexpr std::int64_t lanes = 16;
  typedef double Pair __attribute__((vector_size(16)));
  std::array<Pair, lanes / 2> sums{};
  std::int64_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    for (std::size_t lane = 0; lane < lanes / 2; ++lane) {
      auto const at = static_cast<std::size_t>(i) + 2 * lane;
      Pair const pair = {static_cast<double>(values[at]), static_cast<double>(values[at + 1])};
      sums[lane] += pair * pair;
    }
  }
  for (; i < size; ++i) {
    auto const lane = static_cast<std::size_t>(i % lanes);
    double const value = static_cast<double>(values[i]);
    sums[lane / 2][lane % 2] += value * value;
  }
  double total = 0;
  for (auto const& pair : sums) total += pair[0] + pair[1];
  return total;
}

/// Σx² over all elements of all tensors. dtypes: float32, float64.
/// Numerics: chunk by chunk in `sum_of_squares`, the chunks in order, so the result does not depend on the number of
/// threads. Tensors that are not on the CPU or not contiguous are summed by ATen, in double.
inline double sum_of_squares(std::span<Tensor const> tensors) {
  std::vector<std::int64_t> sizes;
  double elsewhere = 0;
  for (auto const& tensor : tensors) {
    bool const here = tensor.is_cpu() && tensor.is_contiguous();
    sizes.push_back(here ? tensor.numel() : 0);
    if (!here) elsewhere += tensor.to(float64).square().sum().item<double>();
  }
  auto const chunks = cut_into_chunks(sizes);
  std::vector<double> sums(chunks.size());
  for_each_chunk(chunks, [&](Chunk const& chunk, std::size_t index) {
    auto const& tensor = tensors[static_cast<std::size_t>(chunk.array)];
    sums[index] = tensor.scalar_type() == float32
                      ? sum_of_squares(tensor.const_data_ptr<float>() + chunk.begin, chunk.size)
                      : sum_of_squares(tensor.const_data_ptr<double>() + chunk.begin, chunk.size);
  });
  double total = elsewhere;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace lierne
