// SPDX-License-Identifier: Apache-2.0
// One stage with its type erased: compiled once, however many rules of a sweep contain it.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lierne/optim/kernel/passes.hpp"
#include "lierne/optim/kernel/whole_tensor.hpp"

namespace lierne {

/// Elements that stay in the innermost cache while one stage after the other runs on them, in place.
template <class T>
struct StageBlock {
  T* weight;
  T* gradient;
  T* direction;
  T* const* fields;  ///< the stage's own
  T const* numbers;  ///< the stage's own
  std::int64_t size;  ///< a multiple of `fused_lanes<T>()`
  T* clipped = nullptr;  ///< in a measured step: where a stage counts the elements that it clips, lane by lane
};

/// A stage without its type.
class StagePass {
 public:
  virtual ~StagePass() = default;

  virtual std::string name() const = 0;
  virtual std::span<std::string_view const> fields() const = 0;
  virtual std::size_t number_count() const = 0;
  /// Whether the first of its numbers, where it is not 0, ends the rule for a parameter.
  virtual bool gate() const = 0;
  /// The norm above which it clips all gradients, for `ClipNorm`.
  virtual std::optional<double> largest_norm() const = 0;
  /// Whether it runs on whole tensors alone, so that there are no blocks of it.
  virtual bool whole_tensor() const = 0;
  /// The shape of one of its fields, and how many dimensions a weight may have.
  virtual Shape field_shape(std::size_t field, Shape const& weight) const = 0;
  virtual Dimensions dimensions() const = 0;
  /// Writes what it says of the storage of the rule with these fields, if it says anything.
  virtual void write_storage(std::span<std::string_view const> fields, RuleStorage& storage) const = 0;
  virtual void write_numbers(Call<> const& call, double* out, double* carried = nullptr) const = 0;
  virtual std::span<std::string_view const> carried() const = 0;
  virtual detail::StageTraits traits() const = 0;
  /// The calls of `accumulate`, else 0.
  virtual int accumulates() const = 0;
  virtual bool starts_at_weight() const = 0;
  virtual TensorValue evaluation_weight(TensorValue const& weight, TensorValue const* fields) const = 0;
  /// The stage, if it is a monitor; and whether it counts the elements that it clips.
  virtual Monitor const* monitor() const = 0;
  virtual bool counts_clipped() const = 0;

  virtual void run(StageBlock<float> const& block) const = 0;
  virtual void run(StageBlock<double> const& block) const = 0;
  virtual void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const = 0;
  virtual void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const = 0;
  /// The same on whole tensors in a measured step.
  virtual void count(double const* numbers, CountingElement<TensorValue>& at, TensorValue* fields) const = 0;
};

namespace detail {

template <Stage S, class V, bool counting = false>
void run_stage_on(StageBlock<typename V::Scalar> const& block) {
  using T = typename V::Scalar;
  constexpr auto field_count = static_cast<std::size_t>(Layout<S>::fields);
  // Copies, so that the compiler sees that no store can change them.
  std::array<T, Layout<S>::numbers> numbers;
  std::copy_n(block.numbers, numbers.size(), numbers.begin());
  std::array<T*, field_count> fields;
  std::copy_n(block.fields, field_count, fields.begin());
  for (std::int64_t i = 0; i < block.size; i += V::lanes) {
    std::conditional_t<counting, CountingElement<V>, Element<V>> at;
    if constexpr (counting) at.clipped = V::load(block.clipped);
    at.weight = V::load(block.weight + i);
    at.gradient = V::load(block.gradient + i);
    at.direction = V::load(block.direction + i);
    V values[field_count + 1];  // one more: an array may not be empty
    for (std::size_t k = 0; k < field_count; ++k) values[k] = V::load(fields[k] + i);
    run_stage<S>(numbers.data(), at, values);
    at.weight.store(block.weight + i);
    at.gradient.store(block.gradient + i);
    at.direction.store(block.direction + i);
    for (std::size_t k = 0; k < field_count; ++k) values[k].store(fields[k] + i);
    if constexpr (counting) at.clipped.store(block.clipped);
  }
}

// The stage with or without a count of what it clips.
template <Stage S, class V>
void run_stage_counted(StageBlock<typename V::Scalar> const& block) {
  if constexpr (counts_clipped<S>) {
    if (block.clipped != nullptr) return run_stage_on<S, V, true>(block);
  }
  run_stage_on<S, V>(block);
}

template <Stage S, class T>
[[gnu::noinline]] void run_stage_packed(StageBlock<T> const& block) {
  run_stage_counted<S, Pack<T>>(block);
}
#ifdef LIERNE_WIDE_PACK
template <Stage S>
[[gnu::flatten, gnu::noinline, gnu::target("avx2")]] void run_stage_wide(StageBlock<float> const& block) {
  run_stage_counted<S, WidePack<float>>(block);
}
#endif

}  // namespace detail

/// The pass of the stage `S`, which is no pipe, no recipe and has no label.
template <Stage S>
class StagePassOf final : public StagePass {
 public:
  /// The names under which the rule keeps the stage's fields and carried numbers.
  StagePassOf(S const& stage, std::span<std::string_view const> fields, std::span<std::string_view const> carried = {})
      : stage_(stage), fields_(fields), carried_(carried) {}

  std::string name() const override { return lierne::name(stage_); }
  std::span<std::string_view const> fields() const override { return fields_; }
  std::size_t number_count() const override { return Layout<S>::numbers; }
  bool gate() const override { return Gate<S>; }
  std::optional<double> largest_norm() const override {
    auto const* const clip = detail::find_stage<ClipNorm>(stage_);
    return clip != nullptr ? std::optional(clip->largest) : std::nullopt;
  }
  bool whole_tensor() const override { return runs_on_whole_tensors<S>; }
  Shape field_shape(std::size_t field, Shape const& weight) const override {
    return lierne::field_shape(stage_, static_cast<int>(field), weight);
  }
  Dimensions dimensions() const override { return dimensions_of<S>; }
  void write_storage([[maybe_unused]] std::span<std::string_view const> fields,
                     [[maybe_unused]] RuleStorage& storage) const override {
    if constexpr (requires { stage_.write_storage(fields, storage); }) stage_.write_storage(fields, storage);
  }
  void write_numbers(Call<> const& call, double* out, double* carried = nullptr) const override {
    lierne::write_numbers(stage_, call, out, carried);
  }
  std::span<std::string_view const> carried() const override { return carried_; }
  bool starts_at_weight() const override { return fields_that_start_at_weight<S>()[0]; }
  detail::StageTraits traits() const override { return detail::traits<S>; }
  int accumulates() const override {
    auto const* const stage = detail::find_stage<Accumulate>(stage_);
    return stage != nullptr ? stage->calls : 0;
  }
  TensorValue evaluation_weight(TensorValue const& weight, TensorValue const* fields) const override {
    return lierne::evaluation_weight(stage_, weight, fields);
  }
  Monitor const* monitor() const override { return detail::find_monitor(stage_); }
  bool counts_clipped() const override { return detail::counts_clipped<S> && !runs_on_whole_tensors<S>; }

  void run(StageBlock<float> const& block) const override {
    if constexpr (!runs_on_whole_tensors<S>) {
#ifdef LIERNE_WIDE_PACK
      if (wide_packs_run()) return detail::run_stage_wide<S>(block);
#endif
      detail::run_stage_packed<S>(block);
    }
  }
  void run(StageBlock<double> const& block) const override {
    if constexpr (!runs_on_whole_tensors<S>) detail::run_stage_packed<S>(block);
  }
  void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const override {
    detail::run_stage_apart<S>(numbers, at, fields);
  }
  void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const override {
    detail::run_stage_apart<S>(numbers, at, fields);
  }
  void count(double const* numbers, CountingElement<TensorValue>& at, TensorValue* fields) const override {
    if constexpr (detail::counts_clipped<S>) {
      detail::run_stage_apart<S>(numbers, at, fields);
    } else {
      run(numbers, at, fields);
    }
  }

 private:
  [[no_unique_address]] S stage_;
  std::span<std::string_view const> fields_, carried_;
};

}  // namespace lierne
