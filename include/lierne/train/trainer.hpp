// SPDX-License-Identifier: Apache-2.0
// The training loop.
#pragma once

#include <optional>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/train/clock.hpp"
#include "lierne/train/metrics_file.hpp"
#include "lierne/train/noise_meter.hpp"
#include "lierne/train/options.hpp"
#include "lierne/train/progress.hpp"
#include "lierne/train/sample.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <numbers>

#include "lierne/tensor/device.hpp"
#include "lierne/tensor/memory.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// What a run ended with.
struct TrainResult {
  std::int64_t steps = 0;
  double loss = 0;             ///< of the last step, nats a token
  double validation_loss = 0;  ///< nats a token
  double bits_per_byte = 0;    ///< of the held-out text
  double seconds = 0;          ///< training alone, without set-up and validation
};

/// Trains a model by a rule on data. Typed outside, small inside: the loop is compiled once, whatever the model and rule.
/// Order of a step: forward and backward → gradient sums over ranks → selection biases of experts → clip and update in
/// one pass → metrics.
/// Errors: `LaunchError` when the launch does not fit the model's plan; `ArgumentError` for a tokenizer with more ids
/// than the vocabulary; `NumericError` when the loss is not finite, naming the step.
/// Example: `Trainer trainer{Model<gpt>{}, scheduled(rule, schedule), options}; trainer.fit(data);`
class Trainer {
 public:
  template <class M, class Rule>
  Trainer(M model, Rule const& rule, Options options)
      : model_(std::make_unique<detail::TrainableModel<M>>(std::move(model))),
        optimizer_(bind(rule, options.require_fused ? Path::fused_only : Path::fused)),
        options_(std::move(options)) {}
  /// The same with both types erased.
  Trainer(std::unique_ptr<Trainable> model, std::unique_ptr<Optimizer> optimizer, Options options)
      : model_(std::move(model)), optimizer_(std::move(optimizer)), options_(std::move(options)) {}

  /// Trains for `options.steps` steps (or the minutes given), validates, and prints a sample.
  template <class Data>
  TrainResult fit(Data& data) {
    if constexpr (std::is_base_of_v<Batches, Data>) {
      return run(data);
    } else {
      detail::StreamBatches<Data> batches(data);
      return run(batches);
    }
  }

  /// Calls `observe` with the numbers of every step, after it.
  void observe(std::function<void(StepMetrics const&)> observe) { observe_ = std::move(observe); }

  /// Measures the gradient-noise scale every few steps. Example: `trainer.measure_noise({.every = 10})`.
  void measure_noise(NoiseSettings settings = {}) { noise_.emplace(settings); }

  Trainable& model() { return *model_; }
  Optimizer& optimizer() { return *optimizer_; }
  Mesh const& mesh() const { return mesh_; }

 private:
  TrainResult run(Batches& batches);
  void start(Batches& batches);
  StepMetrics step(Batches& batches, std::int64_t step, std::int64_t steps);
  ValidationMetrics validate(Batches const& batches, std::int64_t step);
  double over_data_ranks(double value) const;
  std::int64_t from_first_rank(std::int64_t value) const;

  Clock clock_;
  std::unique_ptr<Trainable> model_;
  std::unique_ptr<Optimizer> optimizer_;
  Options options_;
  std::function<void(StepMetrics const&)> observe_{};
  Mesh mesh_;
  Device device_ = at::kCPU;
  std::vector<Parameter*> parameters_;
  std::vector<Slot> slots_;
  std::optional<NoiseMeter> noise_;
  std::int64_t tokens_ = 0;
};

#if LIERNE_BODIES
LIERNE_INLINE void Trainer::start(Batches& batches) {
  auto const launch = Launch::from_environment();
  device_ = open_device(options_.device, launch.local_rank);
  if (options_.threads > 0) set_threads(options_.threads);
  if (device_.is_cpu()) keep_freed_memory();
  check_vocabulary(batches.tokenizer(), model_->vocab());
  mesh_ = join(model_->plan(), launch, device_);
  batches.shard({.rank = mesh_.data_rank(), .world = mesh_.data_world()});
  model_->init({.seed = options_.seed, .device = device_}, mesh_);
  parameters_ = model_->parameters();
  for (auto* p : parameters_) {
    slots_.push_back({.name = p->name, .weight = p->owned, .counted = counted(*p, mesh_), .kind = p->kind, .shape = p->shape,
                      .offset = p->box.offset});
  }
}

LIERNE_INLINE double Trainer::over_data_ranks(double value) const {
  auto const sum = at::scalar_tensor(value, at::TensorOptions().dtype(float64).device(device_)).reshape({1});
  mesh_[Axis::replicate].sum(sum);
  mesh_[Axis::shard].sum(sum);
  return sum.item<double>();
}

LIERNE_INLINE std::int64_t Trainer::from_first_rank(std::int64_t value) const {
  auto const shared = at::full({1}, value, at::TensorOptions().dtype(int64).device(device_));
  mesh_.all().broadcast(shared);
  return shared.item<std::int64_t>();
}

LIERNE_INLINE StepMetrics Trainer::step(Batches& batches, std::int64_t step, std::int64_t steps) {
  StepMetrics metrics{.step = step, .steps = steps};
  Clock clock;
  auto const batch = batches.next();
  metrics.data_seconds = clock.lap();
  auto const count = static_cast<double>(batch.global_valid);
  double loss = 0;
  auto* const probes = model_->probes();
  bool const probed = probes != nullptr && probes->due(step - 1), noisy = noise_ && noise_->due(step - 1);
  if (batch.global_valid > 0) {
    auto const tokens = batch.tokens.to(device_), labels = batch.labels.to(device_);
    auto const mean_of = [&](Tensor const& rows, Tensor const& labels_of_rows) {
      return probed ? model_->probed_loss(rows, labels_of_rows, count) : model_->loss(rows, labels_of_rows, count);
    };
    if (noisy) {
      loss = noise_->backward_of(tokens, labels, count, parameters_, mesh_, mean_of);
    } else {
      auto const mean = mean_of(tokens, labels);
      backward(mean);
      loss = mean.item<double>();
    }
  }
  if (!noisy) sum_gradients(parameters_, mesh_);
  metrics.loss = over_data_ranks(loss);
  check<NumericError>(std::isfinite(metrics.loss), "training: the loss of step ", step, " is ", metrics.loss,
                      " (lower the rate, or look at the data)");
  auto const sum_all = [this](double value) {
    auto const sum = at::scalar_tensor(value, at::TensorOptions().dtype(float64).device(device_)).reshape({1});
    mesh_.all().sum(sum);
    return sum.item<double>();
  };
  auto const reduce = [this](std::span<double> sums, std::span<double> maxima) {
    auto const doubles = at::TensorOptions().dtype(float64);
    auto const of = [&](std::span<double> values) {
      return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, doubles);
    };
    auto const added = of(sums).to(device_).clone();
    mesh_.all().sum(added);
    of(sums).copy_(added);
    auto const all = mesh_.all().gather(of(maxima).to(device_).unsqueeze(0));
    of(maxima).copy_(all.amax(0));
  };
  for (auto const& load : model_->update_expert_bias()) {
    metrics.model["expert_load/" + load.site + "/max"] = load.largest;
    metrics.model["expert_load/" + load.site + "/unused"] = load.unused;
  }
  auto const report = optimizer_->step(
      slots_, {.step = step - 1, .total = steps, .measure_norm = true, .sum_over_ranks = sum_all, .reduce_over_ranks = reduce});
  tokens_ += batch.global_valid;
  metrics.grad_norm = report.grad_norm;
  metrics.optimizer = report.metrics;
  if (probed) metrics.model.merge(probes->metrics(mesh_.all()));
  if (noisy) metrics.model.merge(noise_->metrics());
  metrics.rate = report.rate;
  metrics.tokens = tokens_;
  metrics.seconds = metrics.data_seconds + clock.lap();
  metrics.tokens_per_s = count / metrics.seconds;
  metrics.elapsed = clock_.elapsed();
  return metrics;
}

LIERNE_INLINE ValidationMetrics Trainer::validate(Batches const& batches, std::int64_t step) {
  NoGrad guard;
  EvaluationWeights const judged(*optimizer_, slots_);
  Clock clock;
  double nats = 0, tokens = 0, bytes = 0;
  for (std::int64_t i = 0; i < batches.validation_size(); ++i) {
    auto const batch = batches.validation(i);
    nats += model_->loss(batch.tokens.to(device_), batch.labels.to(device_), 1.0).item<double>();
    tokens += static_cast<double>(batch.valid);
    bytes += static_cast<double>(batch.bytes);
  }
  nats = over_data_ranks(nats);
  tokens = over_data_ranks(tokens);
  bytes = over_data_ranks(bytes);
  return {.step = step,
          .loss = nats / tokens,
          .bits_per_byte = nats / std::numbers::ln2 / bytes,
          .seconds = clock.lap()};
}

LIERNE_INLINE TrainResult Trainer::run(Batches& batches) {
  start(batches);
  bool const speaks = mesh_.rank() == 0;
  Progress progress(options_.quiet || !speaks);
  std::optional<MetricsFile> file;
  if (!options_.out.empty() && speaks) file.emplace(options_.out);
  progress.note(model_->name());
  progress.note(message(model_->parameter_count(), " parameters, rule ", optimizer_->name(), ", ", mesh_.world(),
                        mesh_.world() == 1 ? " process, " : " processes, ", batches.batch_size(), " x ",
                        batches.length(), " tokens a step"));

  TrainResult result;
  std::int64_t steps = options_.steps;
  bool const has_validation = batches.validation_size() > 0;
  auto const validate_now = [&](std::int64_t step) {
    auto const metrics = validate(batches, step);
    result.validation_loss = metrics.loss;
    result.bits_per_byte = metrics.bits_per_byte;
    progress.show(metrics);
    if (file) file->write(metrics);
  };
  std::vector<double> times;
  for (std::int64_t k = 1; k <= steps; ++k) {
    auto const metrics = step(batches, k, steps);
    result.steps = k;
    result.loss = metrics.loss;
    result.seconds += metrics.seconds;
    progress.show(metrics);
    if (observe_) observe_(metrics);
    if (file) file->write(metrics);
    if (options_.minutes > 0 && k <= detail::timed_steps) {
      times.push_back(metrics.seconds);
      // Every process must end at the same step, so rank 0's clock decides.
      if (k == detail::timed_steps) steps = from_first_rank(detail::steps_in(options_.minutes, times, steps));
    }
    if (has_validation && options_.validate_every > 0 && k % options_.validate_every == 0 && k != steps) validate_now(k);
  }
  if (has_validation) validate_now(steps);
  if (options_.sample > 0 && mesh_.world() == 1 && !options_.quiet) {
    EvaluationWeights const judged(*optimizer_, slots_);
    SampleOptions const drawn{.tokens = options_.sample, .context = batches.length()};
    std::printf("\nsample:\n%s\n\n", sample(*model_, batches.tokenizer(), drawn).c_str());
  }
  return result;
}
#endif

}  // namespace lierne
