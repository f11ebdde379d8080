// SPDX-License-Identifier: Apache-2.0
// The driver of the fused path: parameters with their gradients in, new weights and fields out.
#pragma once

#include <cstring>

#include "lierne/optim/kernel/chunks.hpp"
#include "lierne/optim/kernel/passes.hpp"

namespace lierne {

/// One parameter in a step: all tensors contiguous, of one shape, dtype and device.
struct ParameterStep {
  Tensor weight;
  Tensor gradient;
  std::vector<Tensor>* fields;
  double const* numbers;  ///< the rule's for this call; parameters whose calls are alike share them
};

namespace detail {

template <class T>
struct FusedArrays {
  T* weight;
  T const* gradient;
  std::array<T*, Passes::most_fields> fields;
  T const* numbers;
};

// The end of an array that does not fill a vector: computed in a padded copy, by the same instructions as the rest.
// `clipped`, in a measured step, grows by the elements that were clipped.
template <class T>
void run_tail(Passes const& passes, FusedArrays<T> const& arrays, std::int64_t begin, std::int64_t size, double* clipped) {
  constexpr std::size_t most_lanes = 32 / sizeof(T);
  auto const field_count = passes.fields().size();
  auto const bytes = static_cast<std::size_t>(size) * sizeof(T);
  T weight[most_lanes] = {}, gradient[most_lanes] = {};
  T values[Passes::most_fields][most_lanes] = {};
  T* fields[Passes::most_fields] = {};
  std::memcpy(weight, arrays.weight + begin, bytes);
  std::memcpy(gradient, arrays.gradient + begin, bytes);
  for (std::size_t k = 0; k < field_count; ++k) {
    fields[k] = values[k];
    std::memcpy(values[k], arrays.fields[k] + begin, bytes);
  }
  Stretch<T> const stretch{weight, gradient, fields, arrays.numbers, 1};
  if (clipped == nullptr) {
    passes.run(stretch);
  } else {
    T counts[most_lanes] = {};
    passes.count(stretch, counts);
    for (std::int64_t i = 0; i < size; ++i) *clipped += counts[i];
  }
  std::memcpy(arrays.weight + begin, weight, bytes);
  for (std::size_t k = 0; k < field_count; ++k) std::memcpy(arrays.fields[k] + begin, values[k], bytes);
}

// A part of one parameter.
template <class T>
void run_part(Passes const& passes, FusedArrays<T> const& entry, std::int64_t begin, std::int64_t size,
              double* clipped = nullptr) {
  auto const lanes = fused_lanes<T>();
  auto const field_count = passes.fields().size();
  std::array<T*, Passes::most_fields> fields{};
  for (std::size_t k = 0; k < field_count; ++k) fields[k] = entry.fields[k] + begin;
  auto const packs = size / lanes;
  if (packs > 0) {
    Stretch<T> const stretch{entry.weight + begin, entry.gradient + begin, fields.data(), entry.numbers, packs};
    if (clipped == nullptr) {
      passes.run(stretch);
    } else {
      T counts[32 / sizeof(T)] = {};
      passes.count(stretch, counts);
      for (T const count : counts) *clipped += count;
    }
  }
  auto const tail = size % lanes;
  if (tail > 0) run_tail(passes, entry, begin + packs * lanes, tail, clipped);
}

// Where the arrays of a step lie, and the rule's numbers in their dtype.
template <class T>
struct FusedPlan {
  std::vector<FusedArrays<T>> arrays;
  std::vector<std::int64_t> sizes;
  std::vector<T> numbers;

  FusedPlan(Passes const& passes, std::span<ParameterStep const* const> steps)
      : numbers(steps.size() * passes.number_count()) {
    auto const number_count = passes.number_count();
    arrays.reserve(steps.size());
    for (auto const* step : steps) {
      auto& entry = arrays.emplace_back();
      entry.weight = step->weight.mutable_data_ptr<T>();
      entry.gradient = step->gradient.const_data_ptr<T>();
      for (std::size_t k = 0; k < step->fields->size(); ++k) {
        entry.fields[k] = (*step->fields)[k].template mutable_data_ptr<T>();
      }
      T* const own_numbers = numbers.data() + (arrays.size() - 1) * number_count;
      std::copy_n(step->numbers, number_count, own_numbers);
      entry.numbers = own_numbers;
      sizes.push_back(step->weight.numel());
    }
  }
  FusedPlan(FusedPlan const&) = delete;
};

template <class T>
void run_fused(Passes const& passes, std::span<ParameterStep const* const> steps) {
  FusedPlan<T> const plan(passes, steps);
  for_each_chunk(cut_into_chunks(plan.sizes), [&](Chunk const& chunk, std::size_t) {
    run_part(passes, plan.arrays[static_cast<std::size_t>(chunk.array)], chunk.begin, chunk.size);
  });
}

}  // namespace detail

/// One pass over memory for all parameters together, in place. CPU; dtypes: float32, float64.
/// Numerics: an element's result depends on its own inputs alone: not on its place in a buffer, on vector lengths or on
/// the number of threads.
inline void run_fused(Passes const& passes, std::span<ParameterStep const> steps) {
  std::vector<ParameterStep const*> singles, doubles;
  for (auto const& step : steps) (step.weight.scalar_type() == float32 ? singles : doubles).push_back(&step);
  if (!singles.empty()) detail::run_fused<float>(passes, singles);
  if (!doubles.empty()) detail::run_fused<double>(passes, doubles);
}

}  // namespace lierne
