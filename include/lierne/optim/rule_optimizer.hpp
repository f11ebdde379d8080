// SPDX-License-Identifier: Apache-2.0
// The optimizer behind every rule: checks slots, keeps state, measures the norm, and runs the chosen path.
#pragma once

#include <cmath>
#include <cstdio>
#include <deque>

#include "lierne/optim/evaluation_form.hpp"
#include "lierne/optim/kernel/cuda.hpp"
#include "lierne/optim/kernel/monitored.hpp"
#include "lierne/optim/kernel/norm.hpp"
#include "lierne/optim/kernel/phased.hpp"
#include "lierne/optim/kernel/stored.hpp"
#include "lierne/optim/optimizer.hpp"
#include "lierne/optim/schedule.hpp"
#include "lierne/optim/step_input.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// Any rule on any path. `bind` makes it; a user's unit sees `Optimizer`.
class RuleOptimizer final : public Optimizer {
 public:
  RuleOptimizer(std::unique_ptr<Passes const> passes, Schedule schedule, Path path)
      : passes_(std::move(passes)), layout_(*passes_), schedule_(std::move(schedule)), path_(path) {}

  StepReport step(std::span<Slot const> slots, StepContext const& context) override;
  /// The same; the sums of a measured step go to `book`, not yet added over ranks.
  StepReport step(std::span<Slot const> slots, StepContext const& context, MonitorBook& book);
  std::map<std::string, Tensor> state() const override;
  LoadReport load_state(std::map<std::string, Tensor> const& state) override;
  void use_evaluation_weights(std::span<Slot const> slots) override;
  void use_training_weights() override { evaluation_.end(); }
  bool in_evaluation_form() const override { return evaluation_.begun(); }
  double initial_rate() const override { return passes_->initial_rate(); }
  double rate(StepContext const& context) const override { return passes_->initial_rate() * factor_at(context); }
  std::string name() const override { return passes_->name(); }

 private:
  struct ParameterState {
    std::int64_t calls = 0;
    std::vector<Tensor> fields{};      // undefined until the first step, or until loaded
    std::vector<double> carried{};     // empty until then
    std::int64_t last_step_seen = -1;  // to find a name that is given twice
    bool attached = false;             // fields checked against the weight
  };

  using States = std::map<std::string, ParameterState>;

  double factor_at(StepContext const& context) const { return schedule_ ? schedule_(context.step, context.total) : 1; }
  ParameterState& state_of(Slot const& slot, std::size_t position);
  void attach(Slot const& slot, ParameterState& state) const;
  void run(std::vector<ParameterStep> const& steps);
  void run_whole(std::vector<ParameterStep> const& steps);
  std::vector<MonitorSums*> open_book(std::span<Slot const> slots, std::vector<Slot const*> const& present,
                                      MonitorBook& book);
  void run_monitored(std::vector<ParameterStep> const& steps, std::vector<MonitorSums*> const& sums);

  std::unique_ptr<Passes const> passes_;
  StateLayout layout_;
  Schedule schedule_;
  Path path_;
  States states_;
  std::vector<States::iterator> order_;  // of the slots of the last step: the next one mostly has the same
  std::int64_t steps_ = 0;
  MonitorSums replicas_;  // what another rank counts
  bool said_foreach_ = false;
  EvaluationForm evaluation_;
};

inline RuleOptimizer::ParameterState& RuleOptimizer::state_of(Slot const& slot, std::size_t position) {
  if (order_.size() <= position) order_.resize(position + 1, states_.end());
  auto& found = order_[position];
  if (found == states_.end() || found->first != slot.name) found = states_.try_emplace(slot.name).first;
  auto& state = found->second;
  check(state.last_step_seen != steps_, "optimizer: two slots are named '", slot.name, "' (a tied weight is one slot)");
  state.last_step_seen = steps_;
  if (!state.attached) attach(slot, state);
  return state;
}

inline void RuleOptimizer::attach(Slot const& slot, ParameterState& state) const {
  auto const [fewest, most] = passes_->dimensions();
  auto const dimensions = slot.weight.dim();
  check<ShapeError>(fewest <= dimensions && dimensions <= most, "optimizer: '", slot.name, "': the rule '", passes_->name(),
                    "' takes parameters of ", fewest == most ? "" : std::to_string(fewest) + " to ", most,
                    " dimensions, found shape ", to_string(slot.weight.sizes()), " (give it another rule by groups)");
  state.carried.resize(passes_->carried().size());
  if (layout_.any()) {
    layout_.attach(slot, state.fields);
    state.attached = true;
    return;
  }
  state.fields.resize(passes_->fields().size());
  for (std::size_t k = 0; k < state.fields.size(); ++k) {
    auto& field = state.fields[k];
    auto const shape = passes_->field_shape(k, slot.weight.sizes().vec());
    if (!field.defined()) {
      field = passes_->starts_at_weight(k) ? slot.weight.detach().clone()
                                           : at::zeros(shape, slot.weight.options().requires_grad(false));
      continue;
    }
    check<ShapeError>(field.sizes() == shape, "optimizer: '", detail::state_key(slot.name, passes_->fields()[k]),
                      "': expected shape ", to_string(shape), ", found ", to_string(field.sizes()));
    field = field.to(slot.weight.device(), slot.weight.scalar_type()).contiguous();
  }
  state.attached = true;
}

inline StepReport RuleOptimizer::step(std::span<Slot const> slots, StepContext const& context) {
  MonitorBook book;
  auto report = step(slots, context, book);
  auto const* const monitor = passes_->monitor();
  if (monitor != nullptr && monitor->due(context.step)) {
    report.metrics = detail::metrics_over_ranks({std::move(book)}, *monitor, context);
  }
  return report;
}

inline StepReport RuleOptimizer::step(std::span<Slot const> slots, StepContext const& context, MonitorBook& book) {
  NoGrad const no_grad;
  evaluation_.check_ended("step");
  detail::check_loss_scale(*passes_, context);
  ++steps_;
  double const factor = factor_at(context);
  StepReport report{.rate = passes_->initial_rate() * factor};

  // Everything is checked before anything changes.
  std::vector<Slot const*> present;
  std::vector<ParameterState*> states;
  std::vector<ParameterStep> steps;
  std::vector<std::vector<double> const*> carried;
  std::vector<Tensor> counted;
  for (auto const& slot : slots) {
    check(slot.weight.defined(), "optimizer: '", slot.name, "': its weight is undefined (initialise the model first)");
    if (!slot.weight.grad().defined()) continue;
    auto gradient = detail::checked_gradient(slot, *passes_);
    check<ShapeError>(!passes_->whole_tensors() || slot.shape.empty() || slot.weight.sizes() == slot.shape, "optimizer: '",
                      slot.name, "': the rule '", passes_->name(), "' needs the whole parameter of shape ",
                      to_string(slot.shape), ", found a part of it of shape ", to_string(slot.weight.sizes()),
                      " (use a plan that does not cut it, or give it a rule of single elements by groups)");
    auto& state = state_of(slot, static_cast<std::size_t>(&slot - slots.data()));
    if (slot.counted) counted.push_back(gradient);
    present.push_back(&slot);
    states.push_back(&state);
    steps.push_back({slot.weight, std::move(gradient), &state.fields, nullptr});
  }

  auto const largest = passes_->largest_norm();
  if (largest || passes_->unscales() || context.measure_norm || context.grad_norm || context.accept) {
    report.grad_norm = context.grad_norm ? *context.grad_norm : detail::global_norm(counted, *passes_, context);
    report.clipped = largest && ClipNorm{*largest}.factor(report.grad_norm) < 1;
  }
  if (passes_->unscales() && !std::isfinite(report.grad_norm)) {
    for (auto const* slot : present) slot->weight.mutable_grad().reset();
    report.skipped = true;
    return report;
  }
  if (context.accept && !context.accept(report.grad_norm)) {
    report.refused = true;
    return report;
  }
  struct Numbers {
    Call<> call;
    std::vector<double> before, carried, numbers;
  };
  std::deque<Numbers> calls;  // distinct ones, of stable addresses
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto const& multipliers = present[i]->multipliers;
    Call<> const call{.calls = states[i]->calls,
                      .rate = report.rate * multipliers.rate,
                      .factor = passes_->initial_rate() == 0 ? 1 : factor,
                      .norm = report.grad_norm,
                      .multipliers = multipliers,
                      .loss_scale = context.loss_scale};
    auto known = std::find_if(calls.begin(), calls.end(), [&](auto const& other) {
      return other.call.calls == call.calls && other.call.multipliers == call.multipliers &&
             other.before == states[i]->carried;
    });
    if (known == calls.end()) {
      auto const& before = states[i]->carried;
      known = calls.insert(calls.end(), Numbers{call, before, before, std::vector<double>(passes_->number_count())});
      passes_->write_numbers(call, known->numbers.data(), known->carried.data());
    }
    steps[i].numbers = known->numbers.data();
    carried.push_back(&known->carried);
  }

  auto const* const monitor = passes_->monitor();
  bool const measured = monitor != nullptr && monitor->due(context.step);
  auto const sums = measured ? open_book(slots, present, book) : std::vector<MonitorSums*>();
  auto const run_plain = [&](std::vector<ParameterStep> const& plain, std::size_t first) {
    auto const begin = sums.begin() + (measured ? static_cast<std::ptrdiff_t>(first) : 0);
    measured ? run_monitored(plain, {begin, begin + static_cast<std::ptrdiff_t>(plain.size())}) : run(plain);
  };
  if (layout_.any()) {
    std::vector<StoredStep> stored;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      stored.push_back(stored_step(layout_, *present[i], steps[i], states[i]->calls));
    }
    bool const eager = path_ == Path::loop || path_ == Path::foreach || passes_->whole_tensors() || measured;
    run_stored(*passes_, stored, !eager, run_plain);
  } else {
    run_plain(steps, 0);
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    ++states[i]->calls;
    states[i]->carried = *carried[i];
    present[i]->weight.mutable_grad().reset();
  }
  report.updated = static_cast<std::int64_t>(steps.size());
  return report;
}

// An entry for every slot, so that all ranks have the same; gives those of the slots that are present.
inline std::vector<MonitorSums*> RuleOptimizer::open_book(std::span<Slot const> slots,
                                                          std::vector<Slot const*> const& present, MonitorBook& book) {
  auto const which = MonitoredFields::of(*passes_);
  book = {.moment = which.moment >= 0, .moment2 = which.moment2 >= 0, .clipped = passes_->counts_clipped()};
  for (auto const& slot : slots) book.parameters.emplace_back(slot.name, MonitorSums{});
  std::vector<MonitorSums*> sums;
  for (auto const* slot : present) {
    auto& own = book.parameters[static_cast<std::size_t>(slot - slots.data())].second;
    sums.push_back(slot->counted ? &own : &replicas_);
    if (!slot->counted) continue;
    own.present = 1;
    if (book.clipped) own.elements = static_cast<double>(slot->weight.numel());
  }
  return sums;
}

inline void RuleOptimizer::run_monitored(std::vector<ParameterStep> const& steps, std::vector<MonitorSums*> const& sums) {
  bool const eager = path_ == Path::loop || path_ == Path::foreach || passes_->whole_tensors();
  std::vector<ParameterStep> here, elsewhere;
  std::vector<MonitorSums*> sums_here, sums_elsewhere;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    bool const fused = !eager && steps[i].weight.is_cpu();
    (fused ? here : elsewhere).push_back(steps[i]);
    (fused ? sums_here : sums_elsewhere).push_back(sums[i]);
  }
  run_fused_monitored(*passes_, here, sums_here);
  for (auto const& step : here) step.weight.unsafeGetTensorImpl()->bump_version();
  run_loop_monitored(*passes_, elsewhere, sums_elsewhere);
}

// The fused path of a rule with stages of whole tensors.
inline void RuleOptimizer::run_whole(std::vector<ParameterStep> const& steps) {
  for (auto const& step : steps) {
    bool const phased = passes_->phases() != nullptr && step.weight.is_cpu();
    (phased ? run_phased : run_loop)(*passes_, std::span(&step, 1));
    if (phased) step.weight.unsafeGetTensorImpl()->bump_version();
  }
}

inline void RuleOptimizer::run(std::vector<ParameterStep> const& steps) {
  check(path_ != Path::fused_only || !passes_->whole_tensors(), "optimizer: the rule '", passes_->name(),
        "' sums over whole tensors and has no fused pass (bind it with Path::fused, which then goes tensor by tensor)");
  if (path_ == Path::loop) return run_loop(*passes_, steps);
  if (path_ != Path::foreach && passes_->whole_tensors()) return run_whole(steps);
  if (path_ == Path::foreach) return run_foreach(*passes_, steps);
  auto const* const kernels = find_cuda_rule(passes_->type().name());
  std::vector<ParameterStep> here, on_gpu, elsewhere;
  for (auto const& step : steps) {
    auto const& weight = step.weight;
    (weight.is_cpu() ? here : weight.is_cuda() && kernels != nullptr ? on_gpu : elsewhere).push_back(step);
  }
  if (!elsewhere.empty()) {
    auto const device = elsewhere.front().weight.device().str();
    check(path_ != Path::fused_only, "optimizer: no fused pass on ", device, " for the rule '", passes_->name(),
          "' (name the rule in a header that lierne_cuda_rules compiles, or bind it with Path::fused)");
    if (!std::exchange(said_foreach_, true)) {
      std::fprintf(stderr, "lierne: optimizer: no fused pass on %s for the rule '%s', which takes the foreach path there "
                           "(name it in a header that lierne_cuda_rules compiles)\n",
                   device.c_str(), passes_->name().c_str());
    }
  }
  run_fused(*passes_, here);
  if (!on_gpu.empty()) run_cuda(*kernels, on_gpu);
  for (auto const* fused : {&here, &on_gpu}) {
    for (auto const& step : *fused) step.weight.unsafeGetTensorImpl()->bump_version();
  }
  if (!elsewhere.empty()) run_foreach(*passes_, elsewhere);
}

inline void RuleOptimizer::use_evaluation_weights(std::span<Slot const> slots) {
  if (!passes_->gives_evaluation_weights()) return;
  NoGrad const no_grad;
  evaluation_.begin();
  for (auto const& slot : slots) {
    auto const found = states_.find(slot.name);
    if (found == states_.end()) continue;
    if (!found->second.attached) attach(slot, found->second);
    auto const& fields = found->second.fields;
    if (!layout_.any()) {
      evaluation_.put(*passes_, slot.weight, fields);
      continue;
    }
    auto const stored = stored_step(layout_, slot, {slot.weight, slot.weight, &found->second.fields, nullptr}, found->second.calls);
    std::vector<Tensor> numbers;
    for (auto const& field : stored.fields) numbers.push_back(decoded(field, stored.positions, stored.dtype()));
    evaluation_.put(*passes_, slot.weight, decoded(stored.weight, stored.positions, stored.dtype()), numbers);
  }
}

inline std::map<std::string, Tensor> RuleOptimizer::state() const {
  std::map<std::string, Tensor> result;
  for (auto const& [name, state] : states_) {
    for (std::size_t k = 0; k < state.fields.size(); ++k) {
      if (state.fields[k].defined()) result[detail::state_key(name, layout_.names[k])] = state.fields[k];
    }
    for (std::size_t k = 0; k < state.carried.size(); ++k) {
      result[detail::state_key(name, passes_->carried()[k])] = at::full({}, state.carried[k], float64);
    }
    result[detail::state_key(name, "step")] = at::full({}, static_cast<double>(state.calls), float32);
  }
  return result;
}

inline LoadReport RuleOptimizer::load_state(std::map<std::string, Tensor> const& state) {
  NoGrad const no_grad;
  evaluation_.check_ended("load_state");
  LoadReport report;
  States loaded;
  std::string_view const prefix = detail::state_prefix;
  for (auto const& [key, tensor] : state) {
    auto const dot = key.rfind('.');
    check(key.starts_with(prefix) && dot >= prefix.size(),
          "optimizer: expected a state key 'optim.state.<name>.<field>', found '", key, "'");
    auto const name = key.substr(prefix.size(), dot - prefix.size());
    auto const field = key.substr(dot + 1);
    auto& parameter = loaded[name];
    auto const& fields = layout_.names;
    parameter.fields.resize(fields.size());
    parameter.carried.resize(passes_->carried().size());
    auto const number = [&] {
      check<ShapeError>(tensor.numel() == 1, "optimizer: '", key, "': expected one number, found shape ",
                        to_string(tensor.sizes()));
      report.kept.push_back(key);
      return tensor.item<double>();
    };
    auto const numbers = passes_->carried();
    auto const found_number = std::find(numbers.begin(), numbers.end(), field);
    auto const found = std::find(fields.begin(), fields.end(), field);
    if (found != fields.end()) {
      auto const k = static_cast<std::size_t>(found - fields.begin());
      layout_.check_loadable(key, k, tensor);
      parameter.fields[k] = tensor.detach().clone();
      report.kept.push_back(key);
    } else if (found_number != numbers.end()) {
      parameter.carried[static_cast<std::size_t>(found_number - numbers.begin())] = number();
    } else if (field == "step") {
      parameter.calls = static_cast<std::int64_t>(number());
    } else {
      report.extra.push_back(key);
    }
  }
  // Weights of float32 have nothing beside them, so that a state with some of them lacks it for good.
  bool const beside_weights = std::any_of(loaded.begin(), loaded.end(), [&](auto const& entry) {
    return layout_.beside_weight != StateLayout::none && entry.second.fields[layout_.beside_weight].defined();
  });
  for (auto const& [name, parameter] : loaded) {
    for (std::size_t k = 0; k < parameter.fields.size(); ++k) {
      if (!parameter.fields[k].defined() && layout_.expects(k, parameter.fields, beside_weights)) {
        report.missing.push_back(detail::state_key(name, layout_.names[k]));
      }
    }
    auto const miss = [&](std::string_view number) {
      if (auto key = detail::state_key(name, number); !state.contains(key)) report.missing.push_back(std::move(key));
    };
    std::ranges::for_each(passes_->carried(), miss);
    miss("step");
  }
  states_ = std::move(loaded);
  order_.clear();
  return report;
}

}  // namespace lierne
