// SPDX-License-Identifier: Apache-2.0
// Measures the gradient-noise scale while a model trains: a measured step goes in several micro-batches.
#pragma once

#include <map>
#include <string>

#include "lierne/data/batch.hpp"
#include "lierne/optim/gradient_noise.hpp"
#include "lierne/parallel/gradients.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>

#include "lierne/nn/loss.hpp"
#include "lierne/optim/kernel/norm.hpp"
#endif

namespace lierne {

struct NoiseSettings {
  std::int64_t every = 10;  ///< steps 10, 20 ... of the run are measured; 0 or less: none
  int parts = 2;            ///< micro-batches of a measured step, of each process's rows
  double memory = 0.95;     ///< see `GradientNoise`
};

/// What a trainer does in a measured step in place of one forward and backward pass. The gradients are those of the
/// whole batch but for the order of their sum. Takes one more buffer of gradients, and a reduction over ranks a part.
/// Keys: `gradient_noise/scale` in tokens, `gradient_noise/signal`, `gradient_noise/noise`; see `GradientNoise`.
/// Errors: `ArgumentError` for fewer than two parts, or rows of a process.
class NoiseMeter {
 public:
  explicit NoiseMeter(NoiseSettings settings);
  /// Whether the step after `finished` steps is measured.
  bool due(std::int64_t finished) const { return settings_.every > 0 && (finished + 1) % settings_.every == 0; }

  /// Runs the batch's micro-batches and leaves the gradients of all, summed over ranks. `loss` gives that of some rows;
  /// the sum of them is returned.
  double backward_of(Tensor const& tokens, Tensor const& labels, double count,
                     std::vector<Parameter*> const& parameters, Mesh const& mesh,
                     FunctionRef<Tensor(Tensor const& tokens, Tensor const& labels)> loss);

  /// The averages with this step in them; `norm` is that of all gradients, before clipping. A step without a valid
  /// label in one of its parts counts for nothing.
  std::map<std::string, double> metrics(double norm, double count);

 private:
  NoiseSettings settings_;
  GradientNoise noise_;
  std::vector<GradientNorm> parts_{};
};

#if LIERNE_BODIES
LIERNE_INLINE NoiseMeter::NoiseMeter(NoiseSettings settings) : settings_(settings), noise_(settings.memory) {
  check(settings.parts >= 2, "measure_noise: expected 2 parts of a batch or more, found ", settings.parts);
}

LIERNE_INLINE double NoiseMeter::backward_of(Tensor const& tokens, Tensor const& labels, double count,
                                             std::vector<Parameter*> const& parameters, Mesh const& mesh,
                                             FunctionRef<Tensor(Tensor const&, Tensor const&)> loss) {
  auto const rows = tokens.size(0);
  check(rows >= settings_.parts, "measure_noise: expected at least ", settings_.parts,
        " rows of the batch on each process, one for each part, found ", rows);
  double total = 0;
  std::vector<Tensor> sums(parameters.size());
  parts_.clear();
  for (int part = 0; part < settings_.parts; ++part) {
    auto const from = part * rows / settings_.parts, size = (part + 1) * rows / settings_.parts - from;
    auto const part_labels = labels.narrow(0, from, size);
    auto const mean = loss(tokens.narrow(0, from, size), part_labels);
    backward(mean);
    total += mean.item<double>();
    sum_gradients(parameters, mesh);

    NoGrad const no_grad;
    std::vector<Tensor> once;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto& gradient = parameters[i]->owned.mutable_grad();
      if (!gradient.defined()) continue;
      if (counted(*parameters[i], mesh)) once.push_back(gradient.contiguous());
      if (sums[i].defined()) {
        sums[i].add_(gradient);
      } else {
        sums[i] = gradient;
      }
    }
    auto const doubles = at::TensorOptions().dtype(float64).device(tokens.device());
    auto const squares = at::full({1}, sum_of_squares(once), doubles);
    mesh.all().sum(squares);
    auto const valid = at::full({1}, static_cast<double>(valid_labels(part_labels)), doubles);
    mesh[Axis::replicate].sum(valid);
    mesh[Axis::shard].sum(valid);
    double const examples = valid.item<double>(), scale = count / examples;
    parts_.push_back({examples, squares.item<double>() * scale * scale});
    for (auto* p : parameters) p->owned.mutable_grad().reset();
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i]->owned.mutable_grad() = sums[i];
  return total;
}

LIERNE_INLINE std::map<std::string, double> NoiseMeter::metrics(double norm, double count) {
  bool const whole = std::ranges::none_of(parts_, [](GradientNorm const& part) { return part.examples == 0; });
  if (whole && !parts_.empty()) noise_.add(parts_, {count, norm * norm});
  parts_.clear();
  return {{"gradient_noise/scale", noise_.scale()},
          {"gradient_noise/signal", noise_.signal()},
          {"gradient_noise/noise", noise_.noise()}};
}
#endif

}  // namespace lierne
