// SPDX-License-Identifier: Apache-2.0
// The optimizer of a rule with `accumulate(n)`: keeps sums of gradients, and runs the rule in every n-th call.
#pragma once

#include "lierne/optim/rule_optimizer.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// Sums before a rule or a map of rules. `bind` makes it.
class AccumulatingOptimizer final : public Optimizer {
 public:
  /// `passes` are the rule's own, which owns them.
  AccumulatingOptimizer(std::unique_ptr<Optimizer> rule, Passes const& passes)
      : rule_(std::move(rule)), passes_(&passes), calls_(passes.accumulates()) {}

  StepReport step(std::span<Slot const> slots, StepContext const& context) override;
  std::map<std::string, Tensor> state() const override;
  LoadReport load_state(std::map<std::string, Tensor> const& state) override;
  std::vector<Part> parts(std::span<Slot const> slots) override { return rule_->parts(slots); }
  void use_evaluation_weights(std::span<Slot const> slots) override { rule_->use_evaluation_weights(slots); }
  void use_training_weights() override { rule_->use_training_weights(); }
  bool in_evaluation_form() const override { return rule_->in_evaluation_form(); }
  double initial_rate() const override { return rule_->initial_rate(); }
  double rate(StepContext const& context) const override { return rule_->rate(of_steps(context)); }
  std::string name() const override { return rule_->name(); }

 private:
  StepContext of_steps(StepContext context) const {
    context.step /= calls_;
    context.total /= calls_;
    return context;
  }
  void add(Slot const& slot);

  static constexpr std::string_view sum_field = "accumulated", count_field = "accumulated_calls";

  std::unique_ptr<Optimizer> rule_;
  Passes const* passes_;
  std::int64_t calls_;
  std::optional<std::int64_t> collected_;  // calls of this window; unknown before the first, where the context tells
  std::map<std::string, Tensor> sums_;
};

// The first gradient of a window is kept as it is, where nobody else holds it.
inline void AccumulatingOptimizer::add(Slot const& slot) {
  auto gradient = detail::checked_gradient(slot, *passes_);
  slot.weight.mutable_grad().reset();
  auto const sum_dtype = gradient.scalar_type() == float64 ? float64 : float32;
  auto const found = sums_.find(slot.name);
  if (found != sums_.end()) {
    auto& sum = found->second;
    check<ShapeError>(sum.sizes() == gradient.sizes(), "optimizer: '", detail::state_key(slot.name, sum_field),
                      "': expected shape ", to_string(gradient.sizes()), ", found ", to_string(sum.sizes()));
    sum = sum.to(gradient.device(), sum_dtype).add_(gradient);
    return;
  }
  bool const alone = gradient.use_count() == 1 && gradient.storage().use_count() == 1;
  bool const own = alone && gradient.scalar_type() == sum_dtype;
  sums_.emplace(slot.name, own ? std::move(gradient) : gradient.to(sum_dtype, false, true));
}

inline StepReport AccumulatingOptimizer::step(std::span<Slot const> slots, StepContext const& context) {
  NoGrad const no_grad;
  check(!in_evaluation_form(), "optimizer: step: expected the trained weights in place, found the evaluation weights "
        "(call use_training_weights(), or let EvaluationWeights end)");
  if (!collected_) collected_ = context.step % calls_;
  for (auto const& slot : slots) {
    check(slot.weight.defined(), "optimizer: '", slot.name, "': its weight is undefined (initialise the model first)");
  }
  bool const last = *collected_ + 1 >= calls_;
  for (auto const& slot : slots) {
    if (slot.weight.grad().defined()) add(slot);
    if (!last) continue;
    if (auto sum = sums_.extract(slot.name)) slot.weight.mutable_grad() = sum.mapped().to(slot.weight.device());
  }
  if (!last) {
    ++*collected_;
    return {.rate = rate(context), .accumulated = true};
  }
  collected_ = 0;
  check(sums_.empty(), "optimizer: '", sums_.empty() ? "" : sums_.begin()->first,
        "' has accumulated gradients: expected its slot in the last call of the window, found none");
  return rule_->step(slots, of_steps(context));
}

inline std::map<std::string, Tensor> AccumulatingOptimizer::state() const {
  auto state = rule_->state();
  for (auto const& [name, sum] : sums_) {
    state[detail::state_key(name, sum_field)] = sum;
    state[detail::state_key(name, count_field)] = at::full({}, *collected_, int64);
  }
  return state;
}

inline LoadReport AccumulatingOptimizer::load_state(std::map<std::string, Tensor> const& state) {
  std::map<std::string, Tensor> of_rule, sums;
  std::optional<std::int64_t> collected;
  std::vector<std::string> kept;
  std::string_view const prefix = detail::state_prefix;
  for (auto const& [key, tensor] : state) {
    auto const dot = key.rfind('.');
    auto const field = std::string_view(key).substr(dot + 1);
    if (!key.starts_with(prefix) || dot < prefix.size() || (field != sum_field && field != count_field)) {
      of_rule[key] = tensor;
      continue;
    }
    kept.push_back(key);
    if (field == sum_field) {
      sums[key.substr(prefix.size(), dot - prefix.size())] = tensor.detach().clone();
      continue;
    }
    auto const count = tensor.item<std::int64_t>();
    check(count < calls_ && count == collected.value_or(count), "optimizer: '", key, "': expected ",
          collected ? message(*collected) : message("less than ", calls_), " calls, found ", count);
    collected = count;
  }
  check(collected.has_value() || sums.empty(), "optimizer: expected '", detail::state_key("<name>", count_field),
        "' beside accumulated gradients, found none");
  auto report = rule_->load_state(of_rule);
  report.kept.insert(report.kept.end(), kept.begin(), kept.end());
  sums_ = std::move(sums);
  collected_ = collected;
  return report;
}

}  // namespace lierne
