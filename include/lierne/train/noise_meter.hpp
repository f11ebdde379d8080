// SPDX-License-Identifier: Apache-2.0
// Measures the gradient-noise scale while a model trains: a measured step goes in several micro-batches.
#pragma once

#include <array>
#include <map>
#include <string>

#include "lierne/data/batch.hpp"
#include "lierne/optim/gradient_noise.hpp"
#include "lierne/parallel/gradients.hpp"

#if LIERNE_BODIES
#include "lierne/nn/loss.hpp"
#include "lierne/optim/kernel/norm.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

struct NoiseSettings {
  std::int64_t every = 10;  ///< steps 10, 20 ... of the run are measured; 0 or less: none
  int parts = 2;            ///< micro-batches of a measured step, of each process's rows
  double memory = 0.95;     ///< see `GradientNoise`
};

/// What a trainer does in a measured step in place of one forward and backward pass. The gradients are those of the
/// whole batch but for the order of their sum. Takes one more buffer of gradients, and one reduction of a few numbers.
/// Keys: `gradient_noise/scale` in tokens, `gradient_noise/signal`, `gradient_noise/noise`; see `GradientNoise`.
/// Errors: `ArgumentError` for fewer than two parts, or rows of a process.
class NoiseMeter {
 public:
  explicit NoiseMeter(NoiseSettings settings);
  /// Whether the step after `finished` steps is measured.
  bool due(std::int64_t finished) const { return settings_.every > 0 && (finished + 1) % settings_.every == 0; }

  /// Runs the batch's micro-batches, at least `least_parts`, and leaves the gradients of all, summed over ranks. `loss` gives
  /// that of some rows; the sum of them is returned.
  double backward_of(Tensor const& tokens, Tensor const& labels, double count,
                     std::vector<Parameter*> const& parameters, Mesh const& mesh,
                     FunctionRef<Tensor(Tensor const& tokens, Tensor const& labels)> loss, int least_parts = 1);

  /// The averages with that step in them. A step without a valid label in one of its parts counts for nothing.
  std::map<std::string, double> metrics() const;

  /// What a checkpoint keeps of it.
  std::array<double, 3> averages() const { return noise_.state(); }
  void restore(std::array<double, 3> const& averages) { noise_.restore(averages); }

 private:
  NoiseSettings settings_;
  GradientNoise noise_;
};

#if LIERNE_BODIES
LIERNE_INLINE NoiseMeter::NoiseMeter(NoiseSettings settings) : settings_(settings), noise_(settings.memory) {
  check(settings.parts >= 2, "measure_noise: expected 2 parts of a batch or more, found ", settings.parts);
}

LIERNE_INLINE double NoiseMeter::backward_of(Tensor const& tokens, Tensor const& labels, double count,
                                             std::vector<Parameter*> const& parameters, Mesh const& mesh,
                                             FunctionRef<Tensor(Tensor const&, Tensor const&)> loss, int least_parts) {
  auto const rows = tokens.size(0);
  int const part_count = std::max(settings_.parts, least_parts);
  check(rows >= part_count, "measure_noise: expected at least ", part_count,
        " rows of the batch on each process, one for each part, found ", rows);
  auto const squares_of_counted = [&] {
    std::vector<Tensor> once;
    for (auto* p : parameters) {
      if (p->owned.grad().defined() && counted(*p, mesh)) once.push_back(p->owned.grad().contiguous());
    }
    return sum_of_squares(once);
  };
  double total = 0;
  std::vector<double> numbers;  // of this rank, to be added over all: labels and squares of each part, squares of all
  std::vector<Tensor> sums(parameters.size());
  for (int part = 0; part < part_count; ++part) {
    auto const from = part * rows / part_count, size = (part + 1) * rows / part_count - from;
    auto const part_labels = labels.narrow(0, from, size);
    auto const mean = loss(tokens.narrow(0, from, size), part_labels);
    backward(mean);
    total += mean.item<double>();
    sum_gradients(parameters, mesh);

    NoGrad const no_grad;
    // Ranks along the tensor axis have the same labels.
    numbers.push_back(mesh[Axis::tensor].rank() == 0 ? static_cast<double>(valid_labels(part_labels)) : 0);
    numbers.push_back(squares_of_counted());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto& gradient = parameters[i]->owned.mutable_grad();
      if (sums[i].defined() && gradient.defined()) {
        sums[i].add_(gradient);
      } else if (gradient.defined()) {
        sums[i] = gradient;
      }
      gradient.reset();
    }
  }
  NoGrad const no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i]->owned.mutable_grad() = sums[i];
  numbers.push_back(squares_of_counted());
  auto const all = at::tensor(numbers, at::TensorOptions().dtype(float64)).to(tokens.device());
  mesh.all().sum(all);
  auto const read = all.cpu();
  auto const* number = read.const_data_ptr<double>();
  std::vector<GradientNorm> parts;
  for (int part = 0; part < part_count; ++part, number += 2) {
    if (number[0] == 0) return total;
    parts.push_back({number[0], number[1] * (count / number[0]) * (count / number[0])});
  }
  noise_.add(parts, {count, *number});
  return total;
}

LIERNE_INLINE std::map<std::string, double> NoiseMeter::metrics() const {
  return {{"gradient_noise/scale", noise_.scale()},
          {"gradient_noise/signal", noise_.signal()},
          {"gradient_noise/noise", noise_.noise()}};
}
#endif

}  // namespace lierne
