// SPDX-License-Identifier: Apache-2.0
// A rule with its type erased: what the driver of each path calls. One instantiation a rule.
#pragma once

#include <memory>
#include <optional>
#include <typeinfo>
#include <vector>

#include "lierne/optim/kernel/eigenbasis.hpp"
#include "lierne/optim/kernel/fused_kernel.hpp"
#include "lierne/optim/kernel/matrix.hpp"
#include "lierne/optim/kernel/tensor_list_value.hpp"
#include "lierne/optim/monitor.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/storage.hpp"

namespace lierne {

/// The elements in one vector of the fused pass on this processor: float32 in the widest vectors, float64 in the
/// build's own, to which no speed is owed.
template <class T>
int fused_lanes() {
  return (sizeof(T) == 4 && wide_packs_run() ? 32 : 16) / static_cast<int>(sizeof(T));
}

struct RulePhase;

/// A rule without its type. The same stages stand behind all three paths.
class Passes {
 public:
  static constexpr int most_fields = 16;

  virtual ~Passes() = default;

  virtual std::string name() const = 0;
  /// The type of the rule, by which its CUDA kernels are found, and the rule itself with `Apply`.
  virtual std::type_info const& type() const = 0;
  virtual void const* whole() const = 0;
  virtual double initial_rate() const = 0;
  virtual std::span<std::string_view const> fields() const = 0;
  virtual std::size_t number_count() const = 0;
  /// The norm above which gradients are clipped, where the rule clips.
  virtual std::optional<double> largest_norm() const = 0;
  /// The numbers that a parameter carries from call to call.
  virtual std::span<std::string_view const> carried() const { return {}; }
  /// Whether a stage needs all gradients before the first parameter moves.
  virtual bool phase_boundary() const = 0;
  /// The calls to one step of a rule with `accumulate`, else 0; and whether it has `unscale`.
  virtual int accumulates() const { return 0; }
  virtual bool unscales() const { return false; }
  /// Writes the uniform numbers of a call; `carried` become those of the next.
  virtual void write_numbers(Call<> const& call, double* out, double* carried = nullptr) const = 0;
  /// Whether a field starts as a copy of the weight, instead of zeros.
  virtual bool starts_at_weight(std::size_t /*field*/) const { return false; }
  /// Whether the rule has weights of its own to judge a model by, and which.
  virtual bool gives_evaluation_weights() const { return false; }
  virtual TensorValue evaluation_weight(TensorValue const& weight, TensorValue const* /*fields*/) const {
    return weight;
  }

  /// How fields and weights are stored between steps; empty where the rule does not say.
  virtual RuleStorage storage() const { return {}; }
  /// Whether a stage needs whole tensors, so that there is no fused pass.
  virtual bool whole_tensors() const { return false; }
  /// The shape of a field, and how many dimensions a weight may have; only stages of whole tensors say something of it.
  virtual Shape field_shape(std::size_t /*field*/, Shape const& weight) const { return weight; }
  virtual Dimensions dimensions() const { return {}; }
  /// The fused passes between stages of whole tensors; null for a rule that is not cut so.
  virtual std::vector<RulePhase> const* phases() const { return nullptr; }
  /// Fused: whole vectors of `fused_lanes<T>()` elements.
  virtual void run(Stretch<float> const& stretch) const = 0;
  virtual void run(Stretch<double> const& stretch) const = 0;
  /// The rule's monitor, if it has one, and whether a stage counts what it clips.
  virtual Monitor const* monitor() const { return nullptr; }
  virtual bool counts_clipped() const { return false; }
  /// Fused and loop in a measured step of such a rule: `clipped` grows by the number of elements, lane by lane.
  virtual void count(Stretch<float> const& stretch, float* /*clipped*/) const { run(stretch); }
  virtual void count(Stretch<double> const& stretch, double* /*clipped*/) const { run(stretch); }
  virtual void count(double const* numbers, CountingElement<TensorValue>& at, TensorValue* fields) const {
    run(numbers, at, fields);
  }
  /// Loop: replaces `at.weight` and the fields.
  virtual void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const = 0;
  /// Foreach: the same for lists of tensors that share the numbers.
  virtual void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const = 0;
};

template <class Whole>
std::vector<RulePhase> make_phases();

/// The passes of the rule `Node`.
template <Stage Node>
class PassesOf : public Passes {
  using Whole = Applied<Node>;
  static_assert(Layout<Node>::fields <= most_fields, "bind: a rule may keep at most 16 fields (split it)");

 public:
  explicit PassesOf(Node const& rule) : rule_(rule), whole_(applied(rule)) {}

  std::string name() const override { return lierne::name(rule_); }
  std::type_info const& type() const override { return typeid(Node); }
  void const* whole() const override { return &whole_; }
  double initial_rate() const override { return lierne::initial_rate(rule_); }
  std::span<std::string_view const> fields() const override { return field_names<Node>(); }
  std::size_t number_count() const override { return Layout<Whole>::numbers; }
  std::optional<double> largest_norm() const override {
    auto const* const clip = detail::find_stage<ClipNorm>(rule_);
    return clip != nullptr ? std::optional(clip->largest) : std::nullopt;
  }
  bool phase_boundary() const override { return detail::traits<Node>.phase_boundary; }
  int accumulates() const override {
    auto const* const stage = detail::find_stage<Accumulate>(rule_);
    return stage != nullptr ? stage->calls : 0;
  }
  bool unscales() const override { return detail::traits<Node>.unscales; }
  std::span<std::string_view const> carried() const override { return carried_names<Node>(); }
  void write_numbers(Call<> const& call, double* out, double* carried = nullptr) const override {
    lierne::write_numbers(whole_, call, out, carried);
  }
  bool starts_at_weight(std::size_t field) const override { return fields_that_start_at_weight<Node>()[field]; }
  bool gives_evaluation_weights() const override { return detail::traits<Node>.gives_evaluation_weights; }
  TensorValue evaluation_weight(TensorValue const& weight, TensorValue const* fields) const override {
    return lierne::evaluation_weight(rule_, weight, fields);
  }

  RuleStorage storage() const override {
    if constexpr (detail::has_storage<Node>) {
      return detail::storage_of(rule_, fields());
    } else {
      return {};
    }
  }
  bool whole_tensors() const override { return runs_on_whole_tensors<Node>; }
  Shape field_shape(std::size_t field, Shape const& weight) const override {
    if constexpr (runs_on_whole_tensors<Node>) {
      return lierne::field_shape(rule_, static_cast<int>(field), weight);
    } else {
      return weight;
    }
  }
  Dimensions dimensions() const override { return dimensions_of<Node>; }
  std::vector<RulePhase> const* phases() const override {
    if constexpr (runs_on_whole_tensors<Node>) {
      static std::vector<RulePhase> const all = make_phases<Whole>();
      return &all;
    } else {
      return nullptr;
    }
  }
  void run(Stretch<float> const& stretch) const override {
    if constexpr (!runs_on_whole_tensors<Node>) {
      run_vectors<Whole>(stretch);
    }
  }
  void run(Stretch<double> const& stretch) const override {
    if constexpr (!runs_on_whole_tensors<Node>) run_packs<Whole>(stretch);
  }
  void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const override {
    run_stages<Whole, StageCode::apart>(numbers, at, fields);
  }
  void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const override {
    run_stages<Whole, StageCode::apart>(numbers, at, fields);
  }

 protected:
  Node rule_;
  Whole whole_;
};

/// The same of a rule that measures its steps. `Node` is the rule without its monitor, so the steps in between run that
/// rule's own passes: the same functions, on GPUs the same kernels.
template <Stage Node>
class MonitoredPassesOf final : public PassesOf<Node> {
  using Whole = Applied<Node>;
  static constexpr bool counts = detail::counts_clipped<Node> && !runs_on_whole_tensors<Node>;

 public:
  MonitoredPassesOf(Node const& rule, Monitor const& monitor) : PassesOf<Node>(rule), monitor_(monitor) {}
  using PassesOf<Node>::run;

  std::string name() const override { return PassesOf<Node>::name() + " | " + monitor_.name(); }
  Monitor const* monitor() const override { return &monitor_; }
  bool counts_clipped() const override { return counts; }
  void count(Stretch<float> const& stretch, float* clipped) const override {
    if constexpr (counts) {
#ifdef LIERNE_WIDE_PACK
      if (wide_packs_run()) return count_wide_packs<Whole>(stretch, clipped);
#endif
      count_packs<Whole>(stretch, clipped);
    } else {
      run(stretch);
    }
  }
  void count(Stretch<double> const& stretch, double* clipped) const override {
    if constexpr (counts) {
      count_packs<Whole>(stretch, clipped);
    } else {
      run(stretch);
    }
  }
  void count(double const* numbers, CountingElement<TensorValue>& at, TensorValue* fields) const override {
    if constexpr (counts) {
      run_stages<Whole, StageCode::apart>(numbers, at, fields);
    } else {
      run(numbers, at, fields);
    }
  }

 private:
  Monitor monitor_;
};

/// The passes of a rule.
template <Stage Node>
std::unique_ptr<Passes const> make_passes(Node const& rule) {
  if constexpr (detail::has_monitor<Node>) {
    auto const own = detail::without_monitor(rule);
    using Own = std::remove_const_t<decltype(own)>;
    return std::make_unique<MonitoredPassesOf<Own> const>(own, *detail::find_monitor(rule));
  } else {
    return std::make_unique<PassesOf<Node> const>(rule);
  }
}

}  // namespace lierne

#include "lierne/optim/kernel/phases.hpp"  // behind `Passes`, of which each phase is one
