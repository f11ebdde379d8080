// SPDX-License-Identifier: Apache-2.0
// The optimizer as a training loop sees it: one virtual call a step on named slots.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>

#include "lierne/core/error.hpp"
#include "lierne/core/load_report.hpp"
#include "lierne/optim/monitor.hpp"
#include "lierne/tensor/kind.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// A parameter as the optimizer sees it. The gradient is `weight.grad()`; where it is absent, the parameter is left alone
/// and its count of calls stands still. Shapes: any, also 0-dimensional and empty. dtypes: float32, float64,
/// and bfloat16 for rules with `weights_in`, whose gradients are bfloat16 or float32.
struct Slot {
  std::string name;            ///< fully qualified; keys of the state carry it
  Tensor weight;               ///< a contiguous leaf: this rank's part in the master dtype
  bool counted = true;         ///< false for a replica whose gradient another rank counts in the global norm
  Multipliers multipliers{};   ///< on rate, decay and epsilon
  Kind kind = Kind::by_shape;  ///< what groups go by
  Shape shape{};               ///< of the whole parameter; empty: the weight's own
  Shape offset{};              ///< where in it the weight begins, along each dimension; empty: at the beginning
};

/// What a step must know of the run around it.
struct StepContext {
  std::int64_t step = 0;   ///< finished optimizer steps of the run, the schedule's k
  std::int64_t total = 0;  ///< steps of the whole run, the schedule's T; may be 0 without a schedule
  /// The global norm of the gradients where the caller has measured it: as the rule sees them, divided by the loss
  /// scale.
  std::optional<double> grad_norm{};
  bool measure_norm = false;  ///< report the gradient norm even where no stage needs it (one more pass over gradients)
  /// Adds a number over all ranks. Called once in a step that needs the norm, on every rank alike.
  std::function<double(double)> sum_over_ranks = {};
  /// The same for what a monitor has summed. Called once in a measured step, on every rank alike.
  ReduceOverRanks reduce_over_ranks = {};
  /// Asked with the global norm before anything changes, on every rank alike; false: nothing moves, the gradients stay, and
  /// the report says `refused`. What it throws comes through, with nothing moved. The norm is measured for it.
  std::function<bool(double grad_norm)> accept = {};
  double loss_scale = 1;  ///< what the loss was multiplied by; needs `unscale()` in the rule
};

/// What a step did.
struct StepReport {
  double rate = 0;         ///< initial rate · schedule's factor
  double grad_norm = std::numeric_limits<double>::quiet_NaN();  ///< before clipping; NaN where it was not measured
  bool clipped = false;    ///< whether clipping made gradients smaller
  std::int64_t updated = 0;  ///< slots that had a gradient
  bool accumulated = false;  ///< the call kept gradients for a later one, and nothing moved
  bool skipped = false;      ///< a gradient was not finite, so that nothing moved
  bool refused = false;      ///< `StepContext::accept` refused the norm: nothing moved, and the gradients are still there
  std::map<std::string, double> metrics{};  ///< of a step that the rule's monitor measures, by the keys of `Monitor`
};

/// How a rule is run. All three come from the same stages.
enum class Path {
  fused,       ///< one pass over memory, on CPUs and, for rules of `lierne_cuda_rules`, on GPUs. Slots elsewhere take
               ///< `foreach`, which is said once
  fused_only,  ///< as `fused`, and a slot for which there is no fused pass is an `ArgumentError`
  foreach,     ///< ATen's operations on lists of tensors
  loop         ///< ATen's operations, tensor by tensor
};

/// A rule bound to its state. `bind(rule)` makes one.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Updates every slot that has a gradient, and releases the gradients: afterwards they are absent.
  /// Errors: `ShapeError`, `ArgumentError` naming the slot.
  virtual StepReport step(std::span<Slot const> slots, StepContext const& context) = 0;

  /// The state of every parameter that has been updated: `optim.state.<name>.<field>`, and `.step`, its count of calls,
  /// as float32. The tensors are the live ones.
  virtual std::map<std::string, Tensor> state() const = 0;

  /// Replaces the state by copies. Keys of another rule are no error: the report lists what was kept, missing, extra.
  /// Errors: `ArgumentError` for a key that is not of the form above; `ShapeError` for 8-bit blocks of a field that the rule
  /// does not store so. A wrong shape is reported by the next step.
  virtual LoadReport load_state(std::map<std::string, Tensor> const& state) = 0;

  /// What steps one slot: the rule of its group, and the slot with the group's factors. In the order of `slots`.
  struct Part {
    Optimizer* rule;
    Slot slot;
  };
  virtual std::vector<Part> parts(std::span<Slot const> slots) {
    std::vector<Part> result;
    for (auto const& slot : slots) result.push_back({this, slot});
    return result;
  }

  /// Puts the weights that the rule judges a model by in the place of the trained ones, in the slots that have been
  /// updated: an average, of a rule with `ema` or `schedule_free`. Other rules: nothing. The state stays what it is;
  /// the trained weights are kept aside. `EvaluationWeights` calls it.
  /// Errors: `ArgumentError` where they are in place already; so says `step`, and `load_state`, until they are gone.
  virtual void use_evaluation_weights(std::span<Slot const> slots) = 0;
  /// Puts the trained weights back, bit for bit; nothing where they are in place.
  virtual void use_training_weights() = 0;
  virtual bool in_evaluation_form() const = 0;

  /// The rate before any schedule, and that of a step.
  virtual double initial_rate() const = 0;
  virtual double rate(StepContext const& context) const = 0;
  /// The rule in one line.
  virtual std::string name() const = 0;
};

/// Evaluation weights in place for as long as this lives: validate, or write weights for others to use. To go on with
/// training, save trained weights and the state instead.
/// Example: `{ EvaluationWeights const guard(*optimizer, slots); loss = validate(model); }`.
class EvaluationWeights {
 public:
  EvaluationWeights(Optimizer& optimizer, std::span<Slot const> slots) : optimizer_(&optimizer) {
    optimizer.use_evaluation_weights(slots);
  }
  ~EvaluationWeights() { optimizer_->use_training_weights(); }
  EvaluationWeights(EvaluationWeights const&) = delete;

 private:
  Optimizer* optimizer_;
};

}  // namespace lierne
