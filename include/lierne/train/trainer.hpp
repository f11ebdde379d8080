// SPDX-License-Identifier: Apache-2.0
// The training loop.
#pragma once

#include <optional>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/train/callback.hpp"
#include "lierne/train/clock.hpp"
#include "lierne/train/early_stop.hpp"
#include "lierne/train/options.hpp"
#include "lierne/train/presets.hpp"
#include "lierne/train/progress.hpp"
#include "lierne/train/rules.hpp"
#include "lierne/train/run_state.hpp"
#include "lierne/train/sample.hpp"
#include "lierne/train/sink.hpp"
#include "lierne/train/stop_signal.hpp"
#include "lierne/train/training_step.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <numbers>

#include "lierne/tensor/device.hpp"
#include "lierne/tensor/machine.hpp"
#include "lierne/tensor/memory.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/profiler.hpp"
#include "lierne/train/gemm_peak.hpp"
#include "lierne/train/run_directory.hpp"
#include "lierne/train/warm_start.hpp"
#endif

namespace lierne {

class OperatorProfiler;
template <class Rule>
struct InGraph;

namespace detail {

/// Steps that a profile leaves out: the first ones allocate.
inline constexpr std::int64_t steps_before_profile = 3;

// A model, or the one of a list that the options name; and a rule alike.
template <class M>
std::unique_ptr<Trainable> trainable(M&& model, Options const& options) {
  if constexpr (std::is_same_v<M, Presets>) return model.make(options);
  else return std::make_unique<TrainableModel<M>>(std::move(model));
}
template <class Rule>
std::unique_ptr<Optimizer> optimizer(Rule const& rule, ModelFacts const& facts, Options const& options) {
  if constexpr (std::is_same_v<Rule, Rules>) return rule.bind(options, facts);
  else return bind(rule, facts, options.require_fused ? Path::fused_only : Path::fused);
}

}  // namespace detail

/// What a run ended with.
struct TrainResult {
  std::int64_t steps = 0;
  double loss = 0;             ///< of the last step, nats a token
  double validation_loss = 0;  ///< nats a token
  double bits_per_byte = 0;    ///< of the held-out text
  double seconds = 0;          ///< training alone, without set-up and validation
  bool stopped = false;        ///< by a signal, before its last step
};

/// Trains a model by a rule on data. Typed outside, small inside: the loop is compiled once, whatever the model and rule.
/// The order of a step is that of `TrainingStep`.
/// SIGINT and SIGTERM end a run after the step that they meet, with a checkpoint where there is a run directory. With
/// `resume` a run goes on from there, bit for bit as if it had not ended, or begins where there is no checkpoint yet. With
/// `last_model_only` the checkpoint of a finished run holds weights alone, in the form that the rule judges a model by.
/// Errors: `LaunchError` when the launch does not fit the model's plan, and for checkpoints of several processes, which are not
/// written yet; `ArgumentError` for a tokenizer with more ids than the vocabulary; `NumericError` where loss or gradient norm is
/// not finite, naming the step and the first tensor that is not; `FileError` for a run directory or a checkpoint, naming the file.
/// Example: `Trainer trainer{Model<gpt>{}, scheduled(rule, schedule), options}; trainer.fit(data);`
class Trainer {
 public:
  /// `model`: a model or `presets`; `rule`: a rule or `rules`. Of a list the options' `preset` or `rule` is taken.
  template <class M, class Rule>
  Trainer(M model, Rule const& rule, Options options)
      : model_(detail::trainable(std::move(model), options)),
        optimizer_(detail::optimizer(rule, model_->facts(), options)),
        options_(std::move(options)) {}
  /// The same with steps in the backward pass: hardly more than one gradient lives at a time. For one process and one batch a step.
  /// Example: `Trainer trainer{Model<gpt>{}, in_backward(scheduled(adamw(), warmup(200))), options};`
  template <class M, class Rule>
  Trainer(M model, InBackward<Rule> const& rule, Options options) : Trainer(std::move(model), rule.rule, std::move(options)) {
    in_backward_ = true;
  }
  /// The same with each step as one CUDA graph; include <lierne/train/step_graph.hpp>. For one process and one batch a step.
  /// Example: `Trainer trainer{Model<gpt>{}, in_graph(scheduled(my_rule, warmup(200))), options};`
  template <class M, class Rule>
  Trainer(M model, InGraph<Rule> const& rule, Options options)
      : model_(detail::trainable(std::move(model), options)),
        optimizer_(rule.bind_on(options.device, options.require_fused ? Path::fused_only : Path::fused)),
        options_(std::move(options)) {
    whole_step_of_ = [rule](Trainable& own, Optimizer& optimizer, std::vector<Slot> slots) {
      return rule.step_of(own, optimizer, std::move(slots));
    };
  }
  /// The same with both types erased.
  Trainer(std::unique_ptr<Trainable> model, std::unique_ptr<Optimizer> optimizer, Options options)
      : model_(std::move(model)), optimizer_(std::move(optimizer)), options_(std::move(options)) {}

  /// Trains for `options.steps` steps (or the minutes given), validates, and prints a sample.
  template <class Data>
  TrainResult fit(Data& data) {
    return with_batches(data, [this](Batches& batches) { return run_or_flush(batches); });
  }
  /// Validates the model as it is, or as the checkpoint that the options resume from, or the file of `weights`, has it.
  template <class Data>
  ValidationMetrics evaluate(Data& data) {
    return with_batches(data, [this](Batches& batches) {
      start(batches);
      Progress progress(options_.quiet || mesh_.rank() != 0);
      resume(progress, /*to_train=*/false);
      return validate(batches, finished_);
    });
  }

  /// Calls a function with every event that it takes: steps, validations, checkpoints, samples; see `Callback`. Errors it
  /// throws end the run. Example: `trainer.observe([&](StepMetrics const& m) { losses.push_back(m.loss); });`
  template <class F>
  void observe(F callback) {
    static_assert(Callback<F>, "observe: the function must take an event of a run (write [](StepMetrics const& m) { ... }; others are "
                               "ValidationMetrics, CheckpointMetrics and TextSample)");
    if constexpr (Callback<F>) add_sink(std::make_unique<CallbackSink<F>>(std::move(callback)));
  }

  /// Sends the numbers of every step, validation and checkpoint, and samples, to a sink of one's own beside those of the run directory.
  /// Example: `trainer.add_sink(std::make_unique<Last>())`, where `struct Last : Sink { void write(StepMetrics const& m) override; }`.
  void add_sink(std::unique_ptr<Sink> sink) { sinks_.add(std::move(sink)); }

  /// Measures the gradient-noise scale every few steps. Example: `trainer.measure_noise({.every = 10})`.
  void measure_noise(NoiseSettings settings = {}) { noise_.emplace(settings); }

  Trainable& model() { return *model_; }
  Optimizer& optimizer() { return *optimizer_; }
  Mesh const& mesh() const { return mesh_; }

 private:
  template <class Data, class Use>
  auto with_batches(Data& data, Use const& use) {
    if constexpr (std::is_base_of_v<Batches, Data>) {
      return use(data);
    } else {
      detail::StreamBatches<Data> batches(data);
      return use(batches);
    }
  }
  TrainResult run_or_flush(Batches& batches);
  TrainResult run(Batches& batches);
  void start(Batches& batches);
  void resume(Progress& progress, bool to_train);
  CheckpointMetrics save(Progress& progress, bool weights_alone);
  Sinks open_sinks(Batches const& batches) const;
  ValidationMetrics validate(Batches const& batches, std::int64_t step);
  void finish_profile(OperatorProfiler& profiler, Progress& progress) const;

  Clock clock_;
  std::unique_ptr<Trainable> model_;
  std::unique_ptr<Optimizer> optimizer_;
  bool in_backward_ = false;
  std::function<std::unique_ptr<WholeStep>(Trainable&, Optimizer&, std::vector<Slot>)> whole_step_of_{};
  Options options_;
  Mesh mesh_;
  Device device_ = at::kCPU;
  std::vector<Slot> slots_;
  std::unique_ptr<BackwardOptimizer> backward_;
  std::unique_ptr<WholeStep> whole_step_;
  std::optional<TrainingStep> step_;
  std::optional<NoiseMeter> noise_;
  Sinks files_;  // of the run directory
  Sinks sinks_;
  EarlyStop early_stop_;
  RunState state_;
  std::unique_ptr<CheckpointWriter> writer_;
  std::int64_t finished_ = 0;  // steps
};

#if LIERNE_BODIES
LIERNE_INLINE void Trainer::start(Batches& batches) {
  options_.validate();
  auto const launch = Launch::from_environment();
  device_ = open_device(options_.device, launch.local_rank);
  if (options_.threads > 0) set_threads(options_.threads);
  if (device_.is_cpu()) keep_freed_memory();
  check_vocabulary(batches.tokenizer(), model_->vocab());
  mesh_ = join(model_->plan(), launch, device_);
  if (options_.deterministic) use_deterministic_operators();
  batches.shard({.rank = mesh_.data_rank(), .world = mesh_.data_world()});
  model_->init({.seed = options_.seed, .device = device_}, mesh_);
  TrainingParts parts{.model = model_.get(), .optimizer = optimizer_.get(), .mesh = &mesh_, .device = device_,
                      .parameters = model_->parameters()};
  slots_.clear();  // of an evaluation before
  for (auto* p : parts.parameters) {
    slots_.push_back({.name = p->name, .weight = p->owned, .counted = counted(*p, mesh_), .kind = p->kind, .shape = p->shape,
                      .offset = p->box.offset});
  }
  parts.slots = slots_;
  backward_.reset();
  if (in_backward_) backward_ = std::make_unique<BackwardOptimizer>(*optimizer_, slots_);
  parts.in_backward = backward_.get();
  if (whole_step_of_) whole_step_ = whole_step_of_(*model_, *optimizer_, slots_);
  parts.whole = whole_step_.get();
  step_.emplace(std::move(parts), options_.accumulate, options_.spike);
  early_stop_ = {.patience = options_.early_stop};
  state_ = {.model = model_.get(), .optimizer = optimizer_.get(), .batches = &batches, .guard = &step_->guard(),
            .early_stop = &early_stop_, .noise = noise_ ? &*noise_ : nullptr};
  finished_ = 0;
  bool const asked = options_.checkpoint_every > 0 || options_.last_model_only || options_.resume || options_.resume_previous ||
                     !options_.weights.empty();
  check<LaunchError>(mesh_.world() == 1 || !asked, "Trainer: checkpoints of ", mesh_.world(), " processes are not written or read yet ",
                     "(leave checkpoint_every, last_model_only, resume and weights out, or train in one process)");
}

LIERNE_INLINE void Trainer::resume(Progress& progress, bool to_train) {
  bool const asked = options_.resume || options_.resume_previous;
  if (options_.resume_previous || (asked && has_checkpoint(options_.out))) {
    auto const saved = Checkpoint::open(options_.out, options_.resume_previous ? "previous" : "latest");
    // Weights alone are enough where nothing is trained: a finished run that is started again ends at once.
    bool const judged = !saved.has_optimizer() && (!to_train || saved.step() >= options_.steps);
    for (auto const& notice : judged ? state_.restore_weights(saved) : state_.restore(saved)) progress.note(notice);
    finished_ = state_.step;
    step_->tokens = state_.tokens;
    progress.note(message("goes on after step ", finished_, " from ", saved.path()));
    return;
  }
  if (asked) progress.note("no checkpoint in " + options_.out + " yet: the run begins");
  if (!options_.weights.empty()) progress.note(warm_start(*model_, options_.weights, options_.weights_exclude));
}

LIERNE_INLINE CheckpointMetrics Trainer::save(Progress& progress, bool weights_alone) {
  if (weights_alone) writer_.reset();  // its lock goes before the other one's comes
  if (!writer_) {
    CheckpointSettings settings{.model_only = weights_alone, .exclude = options_.checkpoint_exclude, .keep = options_.keep};
    if (weights_alone) settings.dtype = detail::weights_dtype(options_.export_dtype);
    writer_ = std::make_unique<CheckpointWriter>(options_.out, std::move(settings));
  }
  std::optional<EvaluationWeights> judged;
  if (weights_alone) judged.emplace(*optimizer_, slots_);
  state_.step = finished_;
  state_.tokens = step_->tokens;
  auto const report = writer_->save(state_.content());
  for (auto const& pattern : report.unmatched) progress.note("checkpoint_exclude: '" + pattern + "' leaves nothing out");
  if (options_.verbose) {
    progress.note(message("saved ", report.path, ": ", report.bytes >> 20, " MiB in ", fixed(report.seconds, 2), " s"));
  }
  return {.step = finished_, .path = report.path, .bytes = report.bytes, .seconds = report.seconds};
}

LIERNE_INLINE Sinks Trainer::open_sinks(Batches const& batches) const {
  return open_run(options_.out,
                  {.spec = model_->name(), .plan = to_string(model_->plan()), .rule = optimizer_->name(), .device = device_name(device_),
                   .parameters = model_->parameter_count(), .batch = batches.batch_size(), .length = batches.length(),
                   .processes = mesh_.world(), .options = options_},
                  finished_);
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
  nats = step_->sums().over_data(nats);
  tokens = step_->sums().over_data(tokens);
  bytes = step_->sums().over_data(bytes);
  return {.step = step,
          .loss = nats / tokens,
          .bits_per_byte = nats / std::numbers::ln2 / bytes,
          .seconds = clock.lap()};
}

// Caught rather than left to destructors, which an error that nobody catches may not reach.
LIERNE_INLINE TrainResult Trainer::run_or_flush(Batches& batches) {
  try {
    auto const result = run(batches);
    writer_.reset();  // whoever goes on from here may write
    return result;
  } catch (...) {
    writer_.reset();
    files_.flush();
    sinks_.flush();
    throw;
  }
}

LIERNE_INLINE TrainResult Trainer::run(Batches& batches) {
  StopSignal const stop;
  files_ = Sinks{};
  start(batches);
  bool const speaks = mesh_.rank() == 0, quiet = options_.quiet || !speaks;
  Progress progress({.quiet = quiet, .verbose = options_.verbose, .flops_per_token = model_->flops_per_token(batches.length())});
  progress.note(model_->name());
  progress.note(message(model_->parameter_count(), " parameters, rule ", optimizer_->name(), ", ", mesh_.world(),
                        mesh_.world() == 1 ? " process, " : " processes, ", batches.batch_size() * options_.accumulate, " x ",
                        batches.length(), " tokens a step"));
  resume(progress, /*to_train=*/true);
  if (!options_.out.empty() && speaks) files_ = open_sinks(batches);
  auto const tell = [&](auto const& numbers) {
    files_.write(numbers);
    sinks_.write(numbers);
  };

  TrainResult result{.steps = finished_};
  std::int64_t steps = options_.steps;
  bool const has_validation = batches.validation_size() > 0;
  bool const at_intervals = has_validation && options_.validate_every > 0;
  bool ends = false;
  auto const validate_now = [&] {
    auto const metrics = validate(batches, finished_);
    result.validation_loss = metrics.loss;
    result.bits_per_byte = metrics.bits_per_byte;
    progress.show(metrics);
    tell(metrics);
    state_.validation = metrics;
    if (early_stop_.done(metrics.loss) && finished_ < steps) {
      progress.note(message("ends after step ", finished_, ": ", early_stop_.without, " validations without a loss below ",
                            fixed(early_stop_.best, 4)));
      ends = true;
    }
  };
  if (has_validation && options_.validate_first && finished_ == 0) validate_now();
  std::optional<OperatorProfiler> profiler;
  std::vector<double> times;
  std::int64_t const first = finished_ + 1;
  while (finished_ < steps && !ends) {
    auto const k = finished_ + 1;
    if (options_.profile > 0 && k == first + detail::steps_before_profile) profiler.emplace(device_);
    auto metrics = step_->run(batches, k, steps, noise_ ? &*noise_ : nullptr);
    metrics.elapsed = clock_.elapsed();
    finished_ = result.steps = k;
    if (!metrics.skipped) result.loss = metrics.loss;
    result.seconds += metrics.seconds;
    progress.show(metrics);
    tell(metrics);
    // Behind the first step, which people wait for.
    if (k == first && !quiet) {
      auto const parameters = model_->parameters();
      auto const peak = gemm_peak(device_, gemm_of(parameters, batches.batch_size() * batches.length()), model_->compute());
      if (peak) progress.set_peak(*peak * mesh_.world());
    }
    if (profiler && (k + 1 == first + detail::steps_before_profile + options_.profile || k == steps)) {
      finish_profile(*profiler, progress);
      profiler.reset();
    }
    if (options_.minutes > 0 && k - first < detail::timed_steps) {
      times.push_back(metrics.seconds);
      // Every process must end at the same step, so rank 0's clock decides.
      if (k - first + 1 == detail::timed_steps) {
        steps = step_->sums().from_first(first - 1 + detail::steps_in(options_.minutes, times, steps - first + 1));
      }
    }
    // A signal may reach one process alone; all end together.
    if (step_->sums().over_all(StopSignal::received()) != 0) {
      progress.note(message("ends after step ", k, ", by a signal"));
      ends = result.stopped = true;
    }
    // Before the checkpoint, so that the last one knows of the last validation.
    if (has_validation && !ends && (k == steps || (at_intervals && k % options_.validate_every == 0))) validate_now();
    bool const done = (k == steps || ends) && !result.stopped, weights_alone = done && options_.last_model_only;
    bool const due = options_.checkpoint_every > 0 && (k % options_.checkpoint_every == 0 || k == steps || ends);
    bool const last_chance = result.stopped && !options_.out.empty() && mesh_.world() == 1;
    if (due || weights_alone || last_chance) tell(save(progress, weights_alone));
  }
  progress.end();
  if (profiler) finish_profile(*profiler, progress);
  if (has_validation && finished_ < first) validate_now();  // a finished run that was gone on with
  if (options_.sample > 0 && mesh_.world() == 1 && !options_.quiet && !result.stopped) {
    EvaluationWeights const judged(*optimizer_, slots_);
    SampleOptions const drawn{.tokens = options_.sample, .context = batches.length()};
    TextSample const written{.step = finished_, .text = sample(*model_, batches.tokenizer(), drawn)};
    std::printf("\nsample:\n%s\n\n", written.text.c_str());
    tell(written);
  }
  files_.end();
  files_ = Sinks{};
  sinks_.end();
  return result;
}

LIERNE_INLINE void Trainer::finish_profile(OperatorProfiler& profiler, Progress& progress) const {
  auto const name = mesh_.world() == 1 ? std::string("trace.json") : message("trace-", mesh_.rank(), ".json");
  auto const path = options_.out.empty() ? name : options_.out + "/" + name;
  progress.note(to_text(profiler.stop(path)) + "trace: " + path);
}
#endif

}  // namespace lierne
