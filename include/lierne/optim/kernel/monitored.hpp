// SPDX-License-Identifier: Apache-2.0
// The drivers of a measured step: the fused pass with sums taken block by block, and the loop path with ATen's.
#pragma once

#include <functional>
#include <numeric>

#include "lierne/optim/kernel/eager.hpp"
#include "lierne/optim/kernel/monitor_sums.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// Which of a rule's fields are the moments of the monitor; -1 where it has none.
struct MonitoredFields {
  int moment = -1;
  int moment2 = -1;

  static MonitoredFields of(Passes const& passes) {
    auto const fields = passes.fields();
    auto const find = [&](std::initializer_list<std::string_view> names) {
      for (auto const name : names) {
        auto const found = std::find(fields.begin(), fields.end(), name);
        if (found != fields.end()) return static_cast<int>(found - fields.begin());
      }
      return -1;
    };
    return {find({"exp_avg", "momentum_buffer"}), find({"exp_avg_sq", "square_avg", "second_momentum_buffer"})};
  }
};

namespace detail {

// The factor that the rule's leading stages put on gradients.
inline double gradient_scale(Passes const& passes, double const* numbers) {
  int const leading = (passes.accumulates() > 0) + passes.unscales() + passes.largest_norm().has_value();
  return std::accumulate(numbers, numbers + leading, 1.0, std::multiplies<>{});
}

template <class T>
void run_fused_monitored(Passes const& passes, std::span<ParameterStep const* const> steps, MonitorSums* const* sums) {
  constexpr std::int64_t block_size = 512;  // of each array; all of them stay in the first cache
  FusedPlan<T> const plan(passes, steps);
  auto const which = MonitoredFields::of(passes);
  bool const counts = passes.counts_clipped();
  auto const chunks = cut_into_chunks(plan.sizes);
  std::vector<MonitorSums> parts(chunks.size());
  for_each_chunk(chunks, [&](Chunk const& chunk, std::size_t index) {
    auto const array = static_cast<std::size_t>(chunk.array);
    auto const& entry = plan.arrays[array];
    auto const field = [&](int k) { return k < 0 ? nullptr : entry.fields[static_cast<std::size_t>(k)]; };
    T const* const moment = field(which.moment);
    T const* const moment2 = field(which.moment2);
    T const scale = static_cast<T>(gradient_scale(passes, steps[array]->numbers));
    FourSums four;
    double clipped = 0;
    T before[block_size];
    for (auto begin = chunk.begin; begin < chunk.begin + chunk.size; begin += block_size) {
      auto const size = std::min(block_size, chunk.begin + chunk.size - begin);
      std::copy_n(entry.weight + begin, size, before);
      run_part(passes, entry, begin, size, counts ? &clipped : nullptr);
      add_block(MonitoredBlock<T>{before, entry.weight + begin, entry.gradient + begin,
                                  moment == nullptr ? nullptr : moment + begin,
                                  moment2 == nullptr ? nullptr : moment2 + begin, scale, size},
                four);
    }
    parts[index] = joined(four);
    parts[index].clipped = clipped;
  });
  for (std::size_t i = 0; i < chunks.size(); ++i) sums[chunks[i].array]->add(parts[i]);
}

// The nine numbers of one parameter that the loop path has just updated, in double, on the weight's device.
inline Tensor sums_of(MonitoredFields const& which, ParameterStep const& step, Tensor const& before, double scale,
                      Tensor const& clipped) {
  auto const update = (before - step.weight).to(float64);
  auto const gradient = (step.gradient * scale).to(float64);
  auto const zero = at::zeros({}, update.options());
  auto const square = [](Tensor const& x) { return x.square().sum(); };
  auto const field = [&](int k) { return (*step.fields)[static_cast<std::size_t>(k)].to(float64); };
  auto const none = at::full({}, -FourSums::infinity, update.options());
  Tensor smallest = none, largest = none, moment2 = zero;
  if (which.moment2 >= 0) {
    auto const second = field(which.moment2);
    moment2 = square(second);
    if (second.numel() > 0) smallest = second.min().neg(), largest = second.max();
  }
  return at::stack({which.moment >= 0 ? square(field(which.moment)) : zero, moment2, square(step.weight.to(float64)),
                    square(update), square(gradient), (update * gradient).sum(),
                    clipped.defined() ? clipped.to(float64).sum() : zero, smallest, largest});
}

}  // namespace detail

/// One measured pass over memory, as `run_fused`, with what it did to step i added to `*sums[i]`.
/// Numerics: weights and fields as without measuring, bit for bit. Sums are taken chunk by chunk, the chunks in order.
inline void run_fused_monitored(Passes const& passes, std::span<ParameterStep const> steps,
                                std::span<MonitorSums* const> sums) {
  std::vector<ParameterStep const*> singles, doubles;
  std::vector<MonitorSums*> single_sums, double_sums;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    bool const single = steps[i].weight.scalar_type() == float32;
    (single ? singles : doubles).push_back(&steps[i]);
    (single ? single_sums : double_sums).push_back(sums[i]);
  }
  if (!singles.empty()) detail::run_fused_monitored<float>(passes, singles, single_sums.data());
  if (!doubles.empty()) detail::run_fused_monitored<double>(passes, doubles, double_sums.data());
}

/// A measured step tensor by tensor, on any device; the numbers are read once for each device.
inline void run_loop_monitored(Passes const& passes, std::span<ParameterStep const> steps,
                               std::span<MonitorSums* const> sums) {
  auto const which = MonitoredFields::of(passes);
  std::map<std::string, std::pair<std::vector<Tensor>, std::vector<MonitorSums*>>> by_device;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto const& step = steps[i];
    auto const before = step.weight.clone();
    Tensor clipped;
    if (passes.counts_clipped()) {
      CountingElement<TensorValue> at{{step.weight, step.gradient, {}}, {}};
      std::vector<TensorValue> fields(step.fields->begin(), step.fields->end());
      passes.count(step.numbers, at, fields.data());
      detail::keep_results(step, at.weight, fields);
      clipped = at.clipped.beside(step.weight);
    } else {
      run_loop(passes, std::span(&step, 1));
    }
    auto& [numbers, targets] = by_device[step.weight.device().str()];
    numbers.push_back(detail::sums_of(which, step, before, detail::gradient_scale(passes, step.numbers), clipped));
    targets.push_back(sums[i]);
  }
  for (auto const& [device, found] : by_device) {
    auto const& [numbers, targets] = found;
    auto const read = at::stack(numbers).cpu();
    for (std::size_t i = 0; i < targets.size(); ++i) {
      double const* const n = read.const_data_ptr<double>() + 9 * i;
      targets[i]->add({.moment = n[0], .moment2 = n[1], .weight = n[2], .update = n[3], .gradient = n[4], .dot = n[5],
                       .clipped = n[6], .negative_smallest = n[7], .largest = n[8]});
    }
  }
}

}  // namespace lierne
