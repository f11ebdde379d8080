// SPDX-License-Identifier: Apache-2.0
// A rule with its type erased: what the driver of each path calls. One instantiation a rule.
#pragma once

#include <memory>
#include <optional>
#include <typeinfo>

#include "lierne/optim/kernel/fused_kernel.hpp"
#include "lierne/optim/kernel/tensor_list_value.hpp"
#include "lierne/optim/kernel/whole_tensor.hpp"
#include "lierne/optim/rule.hpp"

namespace lierne {

/// The elements in one vector of the fused pass on this processor: float32 in the widest vectors, float64 in the
/// build's own, to which no speed is owed.
template <class T>
int fused_lanes() {
  return (sizeof(T) == 4 && wide_packs_run() ? 32 : 16) / static_cast<int>(sizeof(T));
}

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
  /// Writes the uniform numbers of a call.
  virtual void write_numbers(Call<> const& call, double* out) const = 0;

  /// Whether a stage needs whole tensors, so that there is no fused pass.
  virtual bool whole_tensors() const { return false; }
  /// Fused: whole vectors of `fused_lanes<T>()` elements.
  virtual void run(Stretch<float> const& stretch) const = 0;
  virtual void run(Stretch<double> const& stretch) const = 0;
  /// Loop: replaces `at.weight` and the fields.
  virtual void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const = 0;
  /// Foreach: the same for lists of tensors that share the numbers.
  virtual void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const = 0;
};

/// The passes of the rule `Node`.
template <Stage Node>
class PassesOf final : public Passes {
  using Whole = Applied<Node>;
  static_assert(Layout<Node>::fields <= most_fields, "bind: a rule may keep at most 16 fields (split it)");

 public:
  explicit PassesOf(Node const& rule) : whole_{rule, {}} {}

  std::string name() const override { return lierne::name(whole_.left); }
  std::type_info const& type() const override { return typeid(Node); }
  void const* whole() const override { return &whole_; }
  double initial_rate() const override { return lierne::initial_rate(whole_.left); }
  std::span<std::string_view const> fields() const override { return field_names<Node>(); }
  std::size_t number_count() const override { return Layout<Whole>::numbers; }
  std::optional<double> largest_norm() const override {
    if constexpr (PhaseBoundary<std::remove_cvref_t<decltype(first_stage(whole_.left))>>) {
      return first_stage(whole_.left).largest;
    } else {
      return std::nullopt;
    }
  }
  void write_numbers(Call<> const& call, double* out) const override { lierne::write_numbers(whole_, call, out); }

  bool whole_tensors() const override { return runs_on_whole_tensors<Node>; }
  void run(Stretch<float> const& stretch) const override {
    if constexpr (!runs_on_whole_tensors<Node>) {
#ifdef LIERNE_WIDE_PACK
      if (wide_packs_run()) return run_wide_packs<Whole>(stretch);
      run_packs<Whole, StageCode::apart>(stretch);  // processors before 2013: right, and a few times slower
#else
      run_packs<Whole>(stretch);
#endif
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

 private:
  Whole whole_;
};

}  // namespace lierne
