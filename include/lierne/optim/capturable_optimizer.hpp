// SPDX-License-Identifier: Apache-2.0
// An optimizer whose steps can be captured in a CUDA graph: counts, rate and numbers live on the device.
#pragma once

#include "lierne/optim/rule_optimizer.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// A rule's fused pass on one GPU, without a host read-back: each parameter's count of calls, the rate and the gradient
/// norm lie on the device, and a kernel writes the rule's numbers from them; a gate such as ADOPT's first call is decided
/// there too. So a captured step, replayed, counts on, and follows the schedule through `set_step`.
/// `bind_capturable` makes one.
///
/// Numerics: as the fused pass, but `pow` and the order of the norm's sum are the GPU's. The report's norm is NaN and
/// `clipped` false: nothing is read.
/// Errors: `ArgumentError` for a captured step of a parameter that has not yet taken one outside the capture (its state
/// would be made anew in every replay), for slots on two devices, and for `sum_over_ranks` or `grad_norm`, which are
/// numbers of the host.
/// Example: `auto optimizer = bind_capturable(scheduled(my_rule, warmup(200))); ... optimizer->step(slots, context);`
/// `graph.capture_begin(); backward(); optimizer->step(slots, context); graph.capture_end();` and then, for each step,
/// `optimizer->set_step(context); graph.replay();`
class CapturableOptimizer final : public Optimizer {
 public:
  using StreamOf = void* (*)(Device);

  /// `keeper` binds the same rule: it reads and checks states.
  CapturableOptimizer(std::unique_ptr<Passes const> passes, std::unique_ptr<Optimizer> keeper, Schedule schedule,
                      CudaRule const& kernels, StreamOf stream_of = detail::current_stream)
      : passes_(std::move(passes)), keeper_(std::move(keeper)), schedule_(std::move(schedule)), kernels_(&kernels),
        stream_of_(stream_of) {}

  /// Queues the rate of a step to the device: before each replay. `step` does it itself outside a capture. Waits for
  /// nothing. Errors: `ArgumentError` before the first step.
  void set_step(StepContext const& context) {
    check(clock_.defined(), "optimizer: set_step needs a device, which the first step brings (run one before the capture)");
    NoGrad const no_grad;
    double const factor = factor_at(context);
    clock_.select(0, 0).fill_(passes_->initial_rate() * factor);
    clock_.select(0, 1).fill_(passes_->initial_rate() == 0 ? 1 : factor);
  }

  StepReport step(std::span<Slot const> slots, StepContext const& context) override;
  std::map<std::string, Tensor> state() const override;
  LoadReport load_state(std::map<std::string, Tensor> const& state) override;
  /// How often a state was loaded. It lies in new memory then, so a step that was captured before is none any more.
  std::int64_t loads() const { return loads_; }
  void use_evaluation_weights(std::span<Slot const> slots) override;
  void use_training_weights() override { evaluation_.end(); }
  bool in_evaluation_form() const override { return evaluation_.begun(); }
  double initial_rate() const override { return passes_->initial_rate(); }
  double rate(StepContext const& context) const override { return passes_->initial_rate() * factor_at(context); }
  std::string name() const override { return passes_->name(); }

 private:
  struct ParameterState {
    Tensor calls;  // int64, on the device; float32 and anywhere between load_state and the first step
    std::vector<Tensor> fields;
    Tensor carried;  // float64, on the device; where it is not attached, anywhere or undefined
    bool attached = false;
  };
  struct Batch {
    std::vector<CudaParameter> parameters;
    std::vector<CudaCalls> calls;
  };

  double factor_at(StepContext const& context) const { return schedule_ ? schedule_(context.step, context.total) : 1; }
  ParameterState& attach(Slot const& slot, bool capturing);
  void run(Batch const& batch, Dtype dtype, Tensor const& norm, Device device, void* stream) const;

  std::unique_ptr<Passes const> passes_;
  std::unique_ptr<Optimizer> keeper_;
  Schedule schedule_;
  CudaRule const* kernels_;
  StreamOf stream_of_;
  std::map<std::string, ParameterState> states_;
  Tensor clock_;  // float64: rate and the schedule's factor
  std::int64_t loads_ = 0;
  EvaluationForm evaluation_;
};

/// Binds a rule to capturable steps. The rule must be one of a header that `lierne_cuda_rules(... CAPTURABLE)` compiles.
/// Errors: `ArgumentError` for a rule without such kernels.
template <Stage Node>
std::unique_ptr<CapturableOptimizer> bind_capturable(Scheduled<Node> const& rule) {
  static_assert(!detail::has_storage<Node>, "bind_capturable: a rule with store or weights_in cannot be captured (leave them "
                                            "out, or bind it by bind)");
  static_assert(!detail::traits<Node>.accumulates && !detail::traits<Node>.unscales,
                "bind_capturable: accumulate and unscale decide on the host whether a step is taken "
                "(leave them out, or use bind)");
  auto const* const kernels = find_cuda_rule(typeid(Node).name());
  check(kernels != nullptr && kernels->write_float != nullptr, "optimizer: no capturable kernels for the rule '",
        name(rule.rule), "' (name it in a header that lierne_cuda_rules compiles CAPTURABLE, with LIERNE_CUDA on)");
  auto const passes = [&] { return std::unique_ptr<Passes const>(new PassesOf<Node>(rule.rule)); };
  return std::make_unique<CapturableOptimizer>(passes(), std::make_unique<RuleOptimizer>(passes(), Schedule{}, Path::loop),
                                               rule.schedule, *kernels);
}
template <Stage Node>
std::unique_ptr<CapturableOptimizer> bind_capturable(Node const& rule) {
  static_assert(check_rule<Node>());
  return bind_capturable(Scheduled<Node>{rule, {}});
}

inline StepReport CapturableOptimizer::step(std::span<Slot const> slots, StepContext const& context) {
  NoGrad const no_grad;
  evaluation_.check_ended("step");
  check(!context.sum_over_ranks && !context.grad_norm && !context.accept,
        "optimizer: a capturable step takes no sum_over_ranks, grad_norm and accept, which are numbers of the host");
  StepReport report{.rate = passes_->initial_rate() * factor_at(context)};
  auto const first = std::find_if(slots.begin(), slots.end(), [](auto const& slot) { return slot.weight.grad().defined(); });
  if (first == slots.end()) return report;
  auto const device = first->weight.device();
  c10::DeviceGuard const guard(device);
  auto* const stream = stream_of_(device);
  bool const capturing = kernels_->capturing(stream);
  if (!clock_.defined()) {
    check(!capturing, "optimizer: expected a step before the capture, found a capture first");
    clock_ = at::zeros({2}, at::TensorOptions().dtype(float64).device(device));
  }
  if (!capturing) set_step(context);

  std::map<Dtype, Batch> batches;
  std::vector<Tensor> counted, gradients;
  for (auto const& slot : slots) {
    if (!slot.weight.grad().defined()) continue;
    check(slot.weight.device() == clock_.device(), "optimizer: '", slot.name, "': expected a weight on ", clock_.device(),
          ", found one on ", slot.weight.device());
    auto const& gradient = gradients.emplace_back(detail::checked_gradient(slot, *passes_));
    if (slot.counted) counted.push_back(gradient);
    auto& state = attach(slot, capturing);
    auto& batch = batches[slot.weight.scalar_type()];
    batch.parameters.push_back(detail::cuda_parameter({slot.weight, gradient, &state.fields, nullptr}));
    batch.calls.push_back(
        {state.calls.mutable_data_ptr<std::int64_t>(), slot.multipliers, state.carried.mutable_data_ptr<double>()});
  }
  Tensor norm;
  if (passes_->largest_norm() && !counted.empty()) {
    norm = at::stack(at::_foreach_norm(counted, 2, float64)).square().sum().sqrt();
  }
  for (auto const& [dtype, batch] : batches) run(batch, dtype, norm, device, stream);
  for (auto const& slot : slots) {
    if (!slot.weight.grad().defined()) continue;
    slot.weight.unsafeGetTensorImpl()->bump_version();
    slot.weight.mutable_grad().reset();
    ++report.updated;
  }
  return report;
}

inline CapturableOptimizer::ParameterState& CapturableOptimizer::attach(Slot const& slot, bool capturing) {
  auto& state = states_[slot.name];
  if (state.attached) return state;
  check(!capturing, "optimizer: '", slot.name, "': expected a step before the capture, found its first one in it");
  auto const& weight = slot.weight;
  auto const calls = weight.options().dtype(int64).requires_grad(false);
  state.calls = state.calls.defined() ? state.calls.to(weight.device(), int64) : at::zeros({}, calls);
  auto const carried = static_cast<std::int64_t>(passes_->carried().size());
  auto const doubles = calls.dtype(float64);
  state.carried = state.carried.defined() ? state.carried.to(weight.device()) : at::zeros({carried}, doubles);
  state.fields.resize(passes_->fields().size());
  for (std::size_t k = 0; k < state.fields.size(); ++k) {
    auto& field = state.fields[k];
    if (!field.defined()) field = detail::first_value(*passes_, k, weight);
    check<ShapeError>(field.sizes() == weight.sizes(), "optimizer: '", detail::state_key(slot.name, passes_->fields()[k]),
                      "': expected shape ", to_string(weight.sizes()), ", found ", to_string(field.sizes()));
    field = field.to(weight.device(), weight.scalar_type()).contiguous();
  }
  state.attached = true;
  return state;
}

inline void CapturableOptimizer::run(Batch const& batch, Dtype dtype, Tensor const& norm, Device device,
                                     void* stream) const {
  // The allocator hands memory out in the order of the stream: the rows may go when the launches are queued.
  auto const rows = at::empty({static_cast<std::int64_t>(batch.calls.size() * passes_->number_count())},
                              at::TensorOptions().dtype(dtype).device(device));
  CudaNumbers const numbers{batch.calls, passes_->whole(), clock_.const_data_ptr<double>(),
                            norm.defined() ? norm.const_data_ptr<double>() : nullptr, rows.mutable_data_ptr(), stream};
  bool const single = dtype == float32;
  detail::check_cuda((single ? kernels_->write_float : kernels_->write_double)(numbers), device);
  detail::check_cuda((single ? kernels_->run_float : kernels_->run_double)({batch.parameters, stream, rows.const_data_ptr()}),
                     device);
}

inline void CapturableOptimizer::use_evaluation_weights(std::span<Slot const> slots) {
  if (!passes_->gives_evaluation_weights()) return;
  NoGrad const no_grad;
  evaluation_.begin();
  for (auto const& slot : slots) {
    if (!states_.contains(slot.name)) continue;
    evaluation_.put(*passes_, slot.weight, attach(slot, false).fields);
  }
}

inline std::map<std::string, Tensor> CapturableOptimizer::state() const {
  std::map<std::string, Tensor> result;
  for (auto const& [name, state] : states_) {
    for (std::size_t k = 0; k < state.fields.size(); ++k) {
      if (state.fields[k].defined()) result[detail::state_key(name, passes_->fields()[k])] = state.fields[k];
    }
    for (std::size_t k = 0; state.carried.defined() && k < passes_->carried().size(); ++k) {
      result[detail::state_key(name, passes_->carried()[k])] = state.carried[static_cast<std::int64_t>(k)].cpu();
    }
    if (state.calls.defined()) result[detail::state_key(name, "step")] = state.calls.to(at::kCPU, float32);
  }
  return result;
}

inline LoadReport CapturableOptimizer::load_state(std::map<std::string, Tensor> const& state) {
  evaluation_.check_ended("load_state");
  NoGrad const no_grad;
  auto report = keeper_->load_state(state);
  states_.clear();
  ++loads_;
  std::size_t const prefix = std::string_view(detail::state_prefix).size();
  for (auto const& [key, tensor] : keeper_->state()) {
    auto const dot = key.rfind('.');
    auto& own = states_[key.substr(prefix, dot - prefix)];
    own.fields.resize(passes_->fields().size());
    auto const number = std::find(passes_->carried().begin(), passes_->carried().end(), key.substr(dot + 1));
    if (number != passes_->carried().end()) {
      auto const count = static_cast<std::int64_t>(passes_->carried().size());
      if (!own.carried.defined()) own.carried = at::zeros({count}, float64);
      own.carried[number - passes_->carried().begin()] = tensor;
      continue;
    }
    auto const field = std::find(passes_->fields().begin(), passes_->fields().end(), key.substr(dot + 1));
    (field == passes_->fields().end() ? own.calls : own.fields[static_cast<std::size_t>(field - passes_->fields().begin())]) = tensor;
  }
  keeper_->load_state({});
  return report;
}

}  // namespace lierne
