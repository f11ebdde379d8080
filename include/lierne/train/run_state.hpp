// SPDX-License-Identifier: Apache-2.0
// All that a run goes on from, into a checkpoint and out of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lierne/checkpoint/load.hpp"
#include "lierne/checkpoint/save.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/optim/optimizer.hpp"
#include "lierne/train/early_stop.hpp"
#include "lierne/train/metrics.hpp"
#include "lierne/train/noise_meter.hpp"
#include "lierne/train/spike_guard.hpp"
#include "lierne/train/trainable.hpp"

#if LIERNE_BODIES
#include "lierne/checkpoint/load_weights.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// The parts of a run that change from step to step. Weights, persistent buffers and the optimizer's state are tensors of the
/// checkpoint; the rest are its facts. First weights and the order of the data follow from the seeds of the program.
struct RunState {
  Trainable* model = nullptr;
  Optimizer* optimizer = nullptr;
  Batches* batches = nullptr;
  SpikeGuard* guard = nullptr;
  EarlyStop* early_stop = nullptr;
  NoiseMeter* noise = nullptr;  ///< or none
  std::int64_t step = 0;        ///< finished steps
  std::int64_t tokens = 0;      ///< valid labels seen
  std::optional<ValidationMetrics> validation{};  ///< the last one

  /// What `CheckpointWriter::save` takes.
  CheckpointContent content() const;

  /// Puts the run where the checkpoint has it; the next steps are those of a run that was never interrupted, bit for bit on the
  /// same machine and threads. Returns what a person should be told: another rule's state, by the keys kept, missing and extra.
  /// Errors: `FileError` where it has weights alone, or not all weights of the model, naming them; `ShapeError`; `ArgumentError` where
  /// the data is another.
  std::vector<std::string> restore(Checkpoint const& saved);

  /// The weights of a checkpoint, its step and its tokens alone, to judge them: for one of weights alone too.
  std::vector<std::string> restore_weights(Checkpoint const& saved);
};

#if LIERNE_BODIES
namespace detail {

inline NamedTensors weights_of(Trainable& model) {
  NamedTensors weights;
  for (auto const* p : model.parameters()) weights.emplace_back(p->name, p->owned);
  model.walk_buffers([&](std::string const& name, Buffer& buffer) {
    if (buffer.persistent) weights.emplace_back(name, buffer.value);
  });
  return weights;
}

inline constexpr char const* norms_key = "gradient_norms";

}  // namespace detail

LIERNE_INLINE CheckpointContent RunState::content() const {
  CheckpointContent content{.step = step, .weights = detail::weights_of(*model), .optimizer = optimizer->state()};
  auto const at = batches->position();
  content.facts.set("spec", model->name()).set("rule", optimizer->name()).set("tokens", tokens);
  content.facts.set("data.epoch", at.epoch).set("data.index", at.index).set("data.of", at.data);
  content.facts.set("early_stop.best", early_stop->best).set("early_stop.without", early_stop->without);
  if (validation) {
    content.facts.set("validation.step", validation->step).set("validation.loss", validation->loss);
    content.facts.set("validation.bits_per_byte", validation->bits_per_byte);
  }
  content.run.emplace_back(detail::norms_key, at::tensor(guard->norms(), at::TensorOptions().dtype(float64)));
  if (noise != nullptr) {
    auto const [signal, variance, weight] = noise->averages();
    content.facts.set("noise.signal", signal).set("noise.noise", variance).set("noise.weight", weight);
  }
  return content;
}

LIERNE_INLINE std::vector<std::string> RunState::restore_weights(Checkpoint const& saved) {
  NoGrad const no_grad;
  auto notices = saved.notices();
  auto const spec = saved.facts().get<std::string>("spec");
  auto const weights = load_weights(saved.weights(), detail::weights_of(*model));
  check<FileError>(weights.complete(), saved.path(), ": expected the weights of the model '", model->name(), "', found those of '", spec,
                   "': ", weights.str());
  if (spec != model->name()) notices.push_back("the checkpoint's model calls itself '" + spec + "'");
  step = saved.step();
  tokens = saved.facts().get<std::int64_t>("tokens");
  return notices;
}

LIERNE_INLINE std::vector<std::string> RunState::restore(Checkpoint const& saved) {
  NoGrad const no_grad;
  check<FileError>(saved.has_optimizer(), saved.path(), ": expected a checkpoint of a whole run, found one of weights alone ",
                   "(resume_previous goes on from the one before it, weights begins a run with it)");
  auto const& facts = saved.facts();
  auto notices = restore_weights(saved);
  auto const state = optimizer->load_state(saved.optimizer());
  if (!state.complete()) {
    notices.push_back("state of the rule '" + facts.get<std::string>("rule") + "' under the rule '" + optimizer->name() + "': " + state.str());
  }
  batches->seek({facts.get<std::int64_t>("data.epoch"), facts.get<std::int64_t>("data.index"), facts.get<std::uint64_t>("data.of")});
  early_stop->best = facts.get<double>("early_stop.best");
  early_stop->without = facts.get<std::int64_t>("early_stop.without");
  if (facts.contains("validation.step")) {
    validation = ValidationMetrics{.step = facts.get<std::int64_t>("validation.step"), .loss = facts.get<double>("validation.loss"),
                  .bits_per_byte = facts.get<double>("validation.bits_per_byte")};
  }
  auto const run = saved.run();
  if (auto const found = run.find(detail::norms_key); found != run.end()) {
    auto const norms = found->second.to(float64).contiguous();
    guard->restore({norms.const_data_ptr<double>(), norms.const_data_ptr<double>() + norms.numel()});
  }
  if (noise != nullptr && facts.contains("noise.weight")) {
    noise->restore({facts.get<double>("noise.signal"), facts.get<double>("noise.noise"), facts.get<double>("noise.weight")});
  }
  return notices;
}
#endif

}  // namespace lierne
