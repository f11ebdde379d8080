// SPDX-License-Identifier: Apache-2.0
// One optimizer step of a run: its micro-batches, the sums over ranks, and the guards before anything moves.
#pragma once

#include <optional>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/backward_optimizer.hpp"
#include "lierne/optim/optimizer.hpp"
#include "lierne/train/noise_meter.hpp"
#include "lierne/train/metrics.hpp"
#include "lierne/train/rank_sums.hpp"
#include "lierne/train/spike_guard.hpp"
#include "lierne/train/trainable.hpp"

#if LIERNE_BODIES
#include <cmath>

#include "lierne/train/clock.hpp"
#include "lierne/train/not_finite.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Forward, backward and update of a batch in one call. `StepGraph` is one.
class WholeStep {
 public:
  virtual ~WholeStep() = default;
  /// One step. Of the context it takes `step` and `total`. Returns the loss, on the device.
  virtual Tensor step(Batch const& batch, StepContext const& context) = 0;
};

/// What a step works on. All of it outlives the step.
struct TrainingParts {
  Trainable* model = nullptr;
  Optimizer* optimizer = nullptr;
  Mesh const* mesh = nullptr;
  Device device = at::kCPU;
  std::vector<Parameter*> parameters{};
  std::vector<Slot> slots{};
  BackwardOptimizer* in_backward = nullptr;  ///< of the same optimizer and slots, where it steps in the backward pass
  WholeStep* whole = nullptr;                ///< of the same model, optimizer and slots, where a step is one call
};

/// The step of a training loop. Order: micro-batches (forward, backward) → gradient sums over ranks → selection biases of
/// experts → norm and guards → clip and update in one pass.
///
/// Gradients of `micro_batches` batches add up, each by its share of the step's valid labels: the step is that of one batch
/// with all their rows, wherever the labels that are ignored lie.
/// A step without a valid label, or with a gradient norm that the spike guard refuses, moves neither weights nor state;
/// its metrics say `skipped`. Biases of experts move by the tokens of a refused step.
/// Errors: `NumericError` where loss or gradient norm is not finite, naming the step and the first tensor that is not; nothing
/// has moved then. Under a rule with `unscale` such a step is left out instead.
///
/// In the backward pass the loss is looked at before anything moves and the norm after all has: it is still an error where it is
/// not finite. A whole step measures no norm (NaN), and its loss is looked at after it. Errors of both: `ArgumentError` for several
/// micro-batches, a spike guard, noise to measure, and probes of a whole step; `LaunchError` for several processes.
class TrainingStep {
 public:
  TrainingStep(TrainingParts parts, std::int64_t micro_batches, double spike)
      : parts_(std::move(parts)), sums_(*parts_.mesh, parts_.device), micro_batches_(micro_batches), guard_(spike) {
    check(micro_batches >= 1, "accumulate: expected 1 micro-batch a step or more, found ", micro_batches);
    if (parts_.in_backward != nullptr) check_at_once("in_backward", spike);
    if (parts_.whole != nullptr) check_at_once("in_graph", spike);
    check(parts_.whole == nullptr || parts_.model->probes() == nullptr,
          "in_graph: expected a model without probes, found probes (they are read on the host: leave out one of the two)");
  }

  /// Runs step `step`, counted from 1, of `steps`. `noise` measures the gradient-noise scale, if given.
  StepMetrics run(Batches& batches, std::int64_t step, std::int64_t steps, NoiseMeter* noise = nullptr);

  RankSums const& sums() const { return sums_; }
  SpikeGuard& guard() { return guard_; }
  /// Valid labels of all processes so far.
  std::int64_t tokens = 0;

 private:
  struct Rows {
    Tensor tokens, labels;
  };
  struct Place {
    std::int64_t step, steps;
  };
  void check_at_once(char const* entry, double spike) const;
  StepReport step_in_backward(Rows const& rows, double count, bool probed, Place at, double& loss);
  StepReport step_as_a_whole(Batch const& batch, Place at, double& loss);
  double backward_of(std::vector<Rows> const& rows, double count, bool probed, NoiseMeter* noise);
  [[noreturn]] void fail(std::string const& what, std::int64_t step, double value, std::string first) const;

  TrainingParts parts_;
  RankSums sums_;
  std::int64_t micro_batches_;
  SpikeGuard guard_;
};

#if LIERNE_BODIES
// The loss of the whole step on this rank; gradients are there, summed over ranks.
LIERNE_INLINE double TrainingStep::backward_of(std::vector<Rows> const& rows, double count, bool probed, NoiseMeter* noise) {
  auto& model = *parts_.model;
  auto const mean_of = [&](Tensor const& tokens, Tensor const& labels) {
    return probed ? model.probed_loss(tokens, labels, count) : model.loss(tokens, labels, count);
  };
  if (noise != nullptr) {
    TensorList tokens, labels;
    for (auto const& part : rows) tokens.push_back(part.tokens), labels.push_back(part.labels);
    return noise->backward_of(at::cat(tokens), at::cat(labels), count, parts_.parameters, *parts_.mesh, mean_of,
                              static_cast<int>(micro_batches_));
  }
  double loss = 0;
  for (auto const& part : rows) {
    auto const mean = mean_of(part.tokens, part.labels);
    backward(mean);
    loss += mean.item<double>();
  }
  sum_gradients(parts_.parameters, *parts_.mesh);
  return loss;
}

// What a step does without that has no moment between its gradients and its update.
LIERNE_INLINE void TrainingStep::check_at_once(char const* entry, double spike) const {
  auto const instead = message(": leave it out, or ", entry, ")");
  check<LaunchError>(parts_.mesh->world() == 1, entry, ": expected one process, found ", parts_.mesh->world(),
                     " (sums over ranks come between gradients and update: train without ", entry, ")");
  check(micro_batches_ == 1, entry, ": expected accumulate 1, found ", micro_batches_,
        " (the gradients of several batches live until the last one", instead);
  check(spike == 0, entry, ": expected no spike guard, found one of ", spike,
        " medians (it needs the gradient norm before anything moves", instead);
}

LIERNE_INLINE StepReport TrainingStep::step_in_backward(Rows const& rows, double count, bool probed, Place at, double& loss) {
  auto& model = *parts_.model;
  auto const mean = probed ? model.probed_loss(rows.tokens, rows.labels, count) : model.loss(rows.tokens, rows.labels, count);
  loss = mean.item<double>();
  auto const first = [&] { return first_not_finite(model, rows.tokens, rows.labels, count); };
  if (!std::isfinite(loss)) fail("the loss", at.step, loss, first());
  parts_.in_backward->begin({.step = at.step - 1, .total = at.steps, .measure_norm = true});
  backward(mean);
  auto const report = parts_.in_backward->end();
  if (!std::isfinite(report.grad_norm)) fail("the gradient norm", at.step, report.grad_norm, first());
  return report;
}

LIERNE_INLINE StepReport TrainingStep::step_as_a_whole(Batch const& batch, Place at, double& loss) {
  StepContext const context{.step = at.step - 1, .total = at.steps};
  loss = parts_.whole->step(batch, context).item<double>();
  if (!std::isfinite(loss)) {
    fail("the loss", at.step, loss, first_not_finite(*parts_.model, batch.tokens.to(parts_.device), batch.labels.to(parts_.device),
                                                     static_cast<double>(batch.global_valid)));
  }
  return {.rate = parts_.optimizer->rate(context)};
}

LIERNE_INLINE void TrainingStep::fail(std::string const& what, std::int64_t step, double value, std::string first) const {
  if (first.empty()) first = parts_.mesh->world() > 1 ? "a tensor of another rank" : "none that was kept";
  throw NumericError(message("training: ", what, " of step ", step, " is ", value, "; the first tensor that is not finite: ", first,
                             " (lower the rate, clip, or look at the data)"));
}

LIERNE_INLINE StepMetrics TrainingStep::run(Batches& batches, std::int64_t step, std::int64_t steps, NoiseMeter* noise) {
  StepMetrics metrics{.step = step, .steps = steps};
  auto& model = *parts_.model;
  Clock clock;
  std::vector<Batch> micro;
  std::int64_t valid = 0;
  for (std::int64_t i = 0; i < micro_batches_; ++i) valid += micro.emplace_back(batches.next()).global_valid;
  metrics.data_seconds = clock.lap();

  auto const count = static_cast<double>(valid);
  auto* const probes = model.probes();
  bool const probed = probes != nullptr && probes->due(step - 1);
  bool const noisy = noise != nullptr && noise->due(step - 1) && valid > 0;
  bool const at_once = parts_.in_backward != nullptr || parts_.whole != nullptr;
  check(noise == nullptr || !at_once, parts_.whole != nullptr ? "in_graph" : "in_backward", ": expected no gradient noise to measure, ",
        "found measure_noise (it needs the gradients of parts of a batch: leave out one of the two)");
  std::vector<Rows> rows;
  if (valid > 0 && parts_.whole == nullptr) {
    for (auto const& batch : micro) rows.push_back({batch.tokens.to(parts_.device), batch.labels.to(parts_.device)});
  }
  std::optional<StepReport> moved;
  if (valid > 0 && at_once) {
    moved = parts_.whole != nullptr ? step_as_a_whole(micro.front(), {step, steps}, metrics.loss)
                                    : step_in_backward(rows.front(), count, probed, {step, steps}, metrics.loss);
  } else if (valid > 0) {
    metrics.loss = sums_.over_data(backward_of(rows, count, probed, noisy ? noise : nullptr));
    if (!std::isfinite(metrics.loss)) {
      std::string first;
      for (auto const& part : rows) {
        if (first.empty()) first = first_not_finite(model, part.tokens, part.labels, count);
      }
      fail("the loss", step, metrics.loss, first);
    }
  }
  for (auto const& load : model.update_expert_bias()) {
    metrics.model["expert_load/" + load.site + "/max"] = load.largest;
    metrics.model["expert_load/" + load.site + "/unused"] = load.unused;
  }

  auto const accept = [&](double norm) {
    if (!std::isfinite(norm)) fail("the gradient norm", step, norm, first_gradient_not_finite(parts_.parameters));
    return !guard_.spike(norm);
  };
  StepContext const context{.step = step - 1,
                            .total = steps,
                            .measure_norm = true,
                            .sum_over_ranks = [this](double value) { return sums_.over_all(value); },
                            .reduce_over_ranks = [this](auto added, auto largest) { sums_.over_all(added, largest); },
                            .accept = accept};
  if (valid > 0) {
    auto const report = moved ? *moved : parts_.optimizer->step(parts_.slots, context);
    metrics.skipped = report.refused || report.skipped;
    if (report.refused) {
      for (auto const& slot : parts_.slots) slot.weight.mutable_grad().reset();
    }
    metrics.grad_norm = report.grad_norm;
    metrics.rate = report.rate;
    metrics.optimizer = report.metrics;
  } else {
    metrics.skipped = true;
    metrics.loss = std::nan("");
    metrics.grad_norm = std::nan("");
    metrics.rate = parts_.optimizer->rate(context);
  }
  tokens += valid;
  if (probed && valid > 0) metrics.model.merge(probes->metrics(parts_.mesh->all()));
  if (noisy) metrics.model.merge(noise->metrics());
  metrics.tokens = tokens;
  metrics.seconds = metrics.data_seconds + clock.lap();
  metrics.tokens_per_s = count / metrics.seconds;
  return metrics;
}
#endif

}  // namespace lierne
