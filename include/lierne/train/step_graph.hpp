// SPDX-License-Identifier: Apache-2.0
// A training step as one CUDA graph: forward, backward and update, queued by a single call of the host.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "lierne/data/batch.hpp"
#include "lierne/nn/any_model.hpp"
#include "lierne/optim/bind.hpp"
#include "lierne/optim/capturable_optimizer.hpp"
#include "lierne/tensor/cuda_graph.hpp"
#include "lierne/tensor/device.hpp"
#include "lierne/train/training_step.hpp"

namespace lierne {

struct StepGraphSettings {
  int warmup = 3;            ///< plain steps before the capture, at least 2; they train as all others do
  bool counts_vary = false;  ///< batches may have other numbers of labels than the first (one more pass over gradients)
};

/// What a step is made of, where that is not a model and a rule. Of one process: nothing sums gradients over ranks.
struct StepGraphParts {
  /// The loss of a batch, a scalar that is inversely proportional to `count`. See `StepGraph` for what it may not do.
  std::function<Tensor(Tensor const& tokens, Tensor const& labels, double count)> loss;
  std::shared_ptr<Optimizer> optimizer;  ///< of `bind_capturable` on a GPU
  std::vector<Slot> slots;
  std::unique_ptr<Recorder> recorder{};  ///< default: a `CudaGraph` for weights on a GPU, none elsewhere
};

/// Runs the steps of batches of one shape. On a GPU the first steps are plain; then one is captured, and each later call
/// copies its batch to where the graph reads it, sets the rate and replays. Elsewhere every step is plain, so that one
/// program runs on both; what a graph cannot hold is refused there as well, but for what only a GPU shows.
///
/// Numerics: without a graph the bits of `backward(loss); optimizer.step(slots, context)`. With one, the same kernels in
/// the same order; where a count is not the first batch's, the gradients are multiplied by the quotient.
/// Gradients are allocated and released in the graph's own memory: outside a step there are none. Buffers that a step
/// writes are written by replays. Behind a step call `model.update_expert_bias()` as ever, where there are experts.
/// A new capture is made, after warm-up steps, when the optimizer's state was loaded or a weight lies elsewhere.
/// Errors: `ArgumentError` for a launch of several processes, an optimizer that cannot be captured, a batch with another
/// count, numbers of the host in the context, gradients of another backward pass, a loss that still holds its graph, and
/// a step in which the host waits for the GPU, naming the operator (probes; experts whose products read their counts);
/// `ShapeError` for a batch of another shape; `NumericError` for one without labels; `Error` with CUDA's words for others.
/// Example: `StepGraph graph(model, scheduled(my_rule, warmup(200)));`
/// `for (std::int64_t k = 0; k < steps; ++k) losses.push_back(graph.step(data.next(), {.step = k, .total = steps}));`
class StepGraph final : public WholeStep {
 public:
  /// The model must have been initialised where it shall train, and outlive this.
  template <class Rule>
  StepGraph(AnyModel& model, Rule const& rule, StepGraphSettings settings = {});
  explicit StepGraph(StepGraphParts parts, StepGraphSettings settings = {});
  StepGraph(StepGraph const&) = delete;

  /// One step. Of the context it takes `step` and `total`. Returns the loss, on the device: to read it is to wait for it.
  Tensor step(Batch const& batch, StepContext const& context) override;

  /// Whether the next step is a replay.
  bool captured() const { return captured_ && !stale(); }
  Optimizer& optimizer() { return *parts_.optimizer; }
  std::span<Slot const> slots() const { return parts_.slots; }

 private:
  Device device() const { return parts_.slots.front().weight.device(); }
  void check_step(Batch const& batch, StepContext const& context);
  Tensor plain_step(Batch const& batch, StepContext const& context);
  void warm_up(StepContext const& context);
  void capture(StepContext const& context);
  void feed(Batch const& batch);
  void run(StepContext const& context);
  void release_gradients();
  bool stale() const;

  StepGraphParts parts_;
  StepGraphSettings settings_;
  CapturableOptimizer* capturable_ = nullptr;  // the optimizer, where there is a recorder
  Shape shape_;                                // of the first batch, and its labels
  double count_ = 0;
  Tensor tokens_, labels_, quotient_, loss_;   // what replays read and write, beside weights and states
  int warmed_ = 0;                             // warm-up steps since the beginning, or since something moved
  bool captured_ = false;
  std::int64_t loads_ = 0;
  std::vector<void const*> addresses_;         // of the weights; as `loads_`, from the first warm-up step
};

namespace detail {

inline StepGraphParts step_of(AnyModel& model, std::unique_ptr<Optimizer> optimizer) {
  check(model.mesh().world() == 1, "StepGraph: expected one process, found ", model.mesh().world(),
        " (sums over ranks are numbers of the host, which a graph cannot hold)");
  StepGraphParts parts{
      .loss = [&model](Tensor const& tokens, Tensor const& labels, double count) { return model.loss(tokens, labels, count); },
      .optimizer = std::move(optimizer)};
  for (auto* p : model.parameters()) {
    parts.slots.push_back({.name = p->name, .weight = p->owned, .kind = p->kind, .shape = p->shape, .offset = p->box.offset});
  }
  return parts;
}

/// The device of a model's weights.
inline Device initialised_device(AnyModel& model) {
  for (auto const* p : model.parameters()) {
    check(p->owned.defined(), "StepGraph: expected an initialised model, found one without weights (call model.init(...) first)");
  }
  return model.device();
}

template <class Rule>
std::unique_ptr<Optimizer> bind_for_graph(Rule const& rule, Device device, Path path = Path::fused) {
  static_assert(requires { bind_capturable(rule); }, "StepGraph: the rule must be one without groups (a captured step has "
                                                     "one rule for all parameters)");
  if constexpr (requires { bind_capturable(rule); }) {
    if (device.is_cuda()) return bind_capturable(rule);
  }
  return bind(rule, path);
}

}  // namespace detail

/// A rule that a `Trainer` steps by a `StepGraph`. `in_graph` makes it.
template <class Rule>
struct InGraph {
  Rule rule;
  StepGraphSettings settings{};

  /// Errors: `ArgumentError` for a GPU that is not there, or a rule without capturable kernels.
  std::unique_ptr<Optimizer> bind_on(std::string const& device, Path path) const {
    return detail::bind_for_graph(rule, open_device(device), path);
  }
  /// The step of a model and that optimizer, which outlive it.
  std::unique_ptr<WholeStep> step_of(Trainable& model, Optimizer& optimizer, std::vector<Slot> slots) const {
    auto const loss = [&model](Tensor const& tokens, Tensor const& labels, double count) { return model.loss(tokens, labels, count); };
    StepGraphParts parts{.loss = loss,
                         .optimizer = std::shared_ptr<Optimizer>(std::shared_ptr<void>{}, &optimizer),
                         .slots = std::move(slots)};
    return std::make_unique<StepGraph>(std::move(parts), settings);
  }
};

/// Marks a rule, with its schedule: a trainer on a GPU shall run each step as one CUDA graph. On the CPU steps are plain, as those of
/// `StepGraph`. No gradient norm is measured; see `TrainingStep` for what else there is not.
/// Errors (compile time): a rule with groups. Example: `Trainer trainer{Model<gpt>{}, in_graph(scheduled(my_rule, warmup(200))), options};`
template <class Rule>
InGraph<Rule> in_graph(Rule const& rule, StepGraphSettings settings = {}) {
  static_assert(requires { bind_capturable(rule); }, "in_graph: the rule must be one without groups (a captured step has "
                                                     "one rule for all parameters)");
  return {rule, settings};
}

template <class Rule>
StepGraph::StepGraph(AnyModel& model, Rule const& rule, StepGraphSettings settings)
    : StepGraph(detail::step_of(model, detail::bind_for_graph(rule, detail::initialised_device(model))), settings) {}

inline StepGraph::StepGraph(StepGraphParts parts, StepGraphSettings settings)
    : parts_(std::move(parts)), settings_(settings) {
  check(parts_.loss && parts_.optimizer && !parts_.slots.empty(), "StepGraph: expected a loss, an optimizer and slots, found ",
        !parts_.loss ? "no loss" : !parts_.optimizer ? "no optimizer" : "no slot");
  check(settings.warmup >= 2, "StepGraph: expected 2 warm-up steps or more, found ", settings.warmup,
        " (the first allocates what stays, the last is searched for what cannot be captured)");
  for (auto const& slot : parts_.slots) {
    check(slot.weight.defined() && slot.weight.device() == device(), "StepGraph: '", slot.name, "': expected a weight on ",
          device().str(), ", found ", slot.weight.defined() ? "one on " + slot.weight.device().str() : "none");
    check(slot.shape.empty() || slot.weight.sizes() == slot.shape, "StepGraph: '", slot.name, "': expected a whole parameter, ",
          "found ", to_string(slot.weight.sizes()), " of ", to_string(slot.shape), " (parts belong to several processes)");
  }
  if (!parts_.recorder && !device().is_cuda()) return;
  capturable_ = dynamic_cast<CapturableOptimizer*>(parts_.optimizer.get());
  check(capturable_ != nullptr, "StepGraph: expected an optimizer that can be captured, found '", parts_.optimizer->name(),
        "' bound otherwise (use bind_capturable)");
  if (!parts_.recorder) parts_.recorder = std::make_unique<CudaGraph>(device());
}

inline Tensor StepGraph::step(Batch const& batch, StepContext const& context) {
  check_step(batch, context);
  if (!parts_.recorder) return plain_step(batch, context);
  if (stale()) {
    captured_ = false;
    warmed_ = 0;
  }
  if (warmed_ < settings_.warmup) {
    parts_.recorder->run([&] { feed(batch); });
    warm_up(context);
    return loss_.clone();
  }
  if (!captured_) capture(context);
  parts_.recorder->run([&] {
    feed(batch);
    capturable_->set_step(context);
    parts_.recorder->repeat();
  });
  // The replay has written the weights behind autograd's back.
  for (auto const& slot : parts_.slots) slot.weight.unsafeGetTensorImpl()->bump_version();
  return loss_.clone();
}

inline void StepGraph::check_step(Batch const& batch, StepContext const& context) {
  bool const bare = !context.sum_over_ranks && !context.reduce_over_ranks && !context.grad_norm && !context.measure_norm;
  check(bare && context.loss_scale == 1, "StepGraph: expected a context of step and total, found other numbers of the host (leave them out)");
  check(!parts_.optimizer->in_evaluation_form(), "StepGraph: expected the trained weights in place, found the evaluation weights "
        "(let EvaluationWeights end)");
  for (auto const& slot : parts_.slots) {
    check(!slot.weight.grad().defined(), "StepGraph: '", slot.name, "': expected no gradient before the step, found one "
          "(a graph makes its own: take the whole batch in one step)");
  }
  check<NumericError>(batch.global_valid > 0, "StepGraph: expected a batch with a label, found none (leave it out)");
  check(batch.valid == batch.global_valid, "StepGraph: expected all labels of the step in one batch, found ", batch.valid, " of ",
        batch.global_valid);
  check<ShapeError>(batch.tokens.sizes() == batch.labels.sizes() && (shape_.empty() || batch.tokens.sizes() == shape_),
                    "StepGraph: expected tokens and labels of shape ", to_string(shape_.empty() ? batch.tokens.sizes() : shape_),
                    ", found ", to_string(batch.tokens.sizes()), " and ", to_string(batch.labels.sizes()),
                    " (a graph is of the first batch's shape: fill up shorter ones with ignored labels)");
  auto const count = static_cast<double>(batch.valid);
  check(settings_.counts_vary || count_ == 0 || count == count_, "StepGraph: expected ", count_, " labels, as in the first ",
        "batch, found ", count, " (set .counts_vary: the count becomes a number on the device)");
  if (shape_.empty()) shape_ = batch.tokens.sizes().vec();
  if (count_ == 0) count_ = count;
}

inline Tensor StepGraph::plain_step(Batch const& batch, StepContext const& context) {
  auto const loss =
      parts_.loss(batch.tokens.to(device()), batch.labels.to(device()), static_cast<double>(batch.valid));
  backward(loss);
  parts_.optimizer->step(parts_.slots, context);
  return loss.detach();
}

inline void StepGraph::warm_up(StepContext const& context) {
  if (warmed_ == 0) {
    loads_ = capturable_->loads();
    addresses_.clear();
    for (auto const& slot : parts_.slots) addresses_.push_back(slot.weight.const_data_ptr());
  }
  bool const last = warmed_ + 1 == settings_.warmup;
  auto const work = [&] { run(context); };
  last ? parts_.recorder->run_without_waiting(work) : parts_.recorder->run(work);
  ++warmed_;
}

inline void StepGraph::capture(StepContext const& context) {
  for (auto const& slot : parts_.slots) {
    // Its node would order the captured work behind the stream that it was made on.
    check(!in_a_graph(slot.weight), "StepGraph: '", slot.name, "': expected no recorded graph at the capture, found one that leads "
          "to it (let go of the losses of plain steps)");
  }
  parts_.recorder->record([this, context] { run(context); });
  captured_ = true;
}

inline void StepGraph::feed(Batch const& batch) {
  NoGrad const no_grad;
  if (!tokens_.defined()) {
    tokens_ = at::empty(batch.tokens.sizes(), batch.tokens.options().device(device()));
    labels_ = at::empty(batch.labels.sizes(), batch.labels.options().device(device()));
    auto const& weight = parts_.slots.front().weight;
    if (settings_.counts_vary) quotient_ = at::ones({}, weight.options().requires_grad(false));
  }
  tokens_.copy_(batch.tokens, /*non_blocking=*/true);
  labels_.copy_(batch.labels, /*non_blocking=*/true);
  if (settings_.counts_vary) quotient_.fill_(count_ / static_cast<double>(batch.valid));
}

inline void StepGraph::run(StepContext const& context) {
  try {
    auto const loss = parts_.loss(tokens_, labels_, count_);
    check<ShapeError>(loss.dim() == 0, "StepGraph: expected a scalar loss, found ", to_string(loss.sizes()));
    backward(loss);
    NoGrad const no_grad;
    if (!loss_.defined()) loss_ = at::empty_like(loss.detach());
    loss_.copy_(loss.detach());
    if (settings_.counts_vary) {
      // All terms of a loss go with 1/count, also those that are attached to scores of experts.
      std::vector<Tensor> gradients{loss_};
      for (auto const& slot : parts_.slots) {
        if (slot.weight.grad().defined()) gradients.push_back(slot.weight.grad());
      }
      at::_foreach_mul_(gradients, quotient_);
    }
    parts_.optimizer->step(parts_.slots, context);
  } catch (...) {
    release_gradients();
    throw;
  }
}

inline void StepGraph::release_gradients() {
  for (auto const& slot : parts_.slots) slot.weight.mutable_grad().reset();
}

inline bool StepGraph::stale() const {
  if (warmed_ == 0) return false;
  if (capturable_->loads() != loads_) return true;
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (parts_.slots[i].weight.const_data_ptr() != addresses_[i]) return true;
  }
  return false;
}

}  // namespace lierne
