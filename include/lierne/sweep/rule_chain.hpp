// SPDX-License-Identifier: Apache-2.0
// A rule as a list of erased stages: what 256 rules of a sweep are made of without compiling 256 passes.
#pragma once

#include <memory>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/stage_pass.hpp"

#if LIERNE_BODIES
#include <cstring>
#include <typeinfo>
#endif

namespace lierne {

/// The stages of a rule from left to right, its recipe marked. `rule_chain(rule)` makes it.
/// What is no template is compiled apart, copies and destructors too: a sweep of 256 rules calls it thousands of times.
struct RuleChain {
  /// A stage; or, without one, the begin of the recipe (with its title) or its end.
  struct Entry {
    std::shared_ptr<StagePass const> stage{};
    std::string title{};
    bool begins_recipe = false;
  };
  std::vector<Entry> entries{};
  double rate = 0;  ///< of the recipe

  RuleChain();
  RuleChain(RuleChain const&);
  RuleChain(RuleChain&&) noexcept;
  RuleChain& operator=(RuleChain const&);
  RuleChain& operator=(RuleChain&&) noexcept;
  ~RuleChain();

  void append(std::unique_ptr<StagePass const> stage);
  void begin_recipe(char const* title, double recipe_rate);
  void end_recipe();

  /// The rule in one line, as `name(rule)` says it.
  std::string name() const;
  /// Checks what the compiler checks of a typed rule. Errors: `ArgumentError` for two fields of one name, a
  /// `clip_norm` that is not first, a stage behind one that looks at the moved weight, two that give evaluation
  /// weights.
  void check_places() const;
};

/// The passes of a chain: all stages run over a few hundred elements in the cache, then over the next, so that memory is
/// read and written once, as by the rule's own pass.
/// Numerics: bit for bit those of the rule's own passes, on every path; with a stage of whole tensors (Muon, SOAP), those
/// of its loop path.
std::unique_ptr<Passes const> make_passes(RuleChain const& chain);

namespace detail {

// Not inlined: a sweep of many rules calls it many times with few types.
template <Stage S>
[[gnu::noinline]] void append_stage(RuleChain& chain, S const& stage, std::span<std::string_view const> fields,
                                    std::span<std::string_view const> carried) {
  chain.append(std::make_unique<StagePassOf<S> const>(stage, fields, carried));
}

template <Stage Node>
[[gnu::noinline]] void append_stages(RuleChain& chain, Node const& node) {
  if constexpr (PipeNode<Node>) {
    append_stages(chain, node.left);
    append_stages(chain, node.right);
  } else if constexpr (is_recipe<Node>) {
    chain.begin_recipe(node.title, node.rate);
    append_stages(chain, node.body);
    chain.end_recipe();
  } else if constexpr (is_labelled<Node>) {
    append_stage(chain, node.stage, field_names<Node>(), carried_names<Node>());
  } else {
    append_stage(chain, node, field_names<Node>(), carried_names<Node>());
  }
}

}  // namespace detail

/// Erases the types of a rule's stages. Errors (compile time): those of `check_rule`.
template <Stage Node>
RuleChain rule_chain(Node const& rule) {
  static_assert(check_rule<Node>());
  RuleChain chain;
  detail::append_stages(chain, rule);
  return chain;
}

#if LIERNE_BODIES
LIERNE_INLINE RuleChain::RuleChain() = default;
LIERNE_INLINE RuleChain::RuleChain(RuleChain const&) = default;
LIERNE_INLINE RuleChain::RuleChain(RuleChain&&) noexcept = default;
LIERNE_INLINE RuleChain& RuleChain::operator=(RuleChain const&) = default;
LIERNE_INLINE RuleChain& RuleChain::operator=(RuleChain&&) noexcept = default;
LIERNE_INLINE RuleChain::~RuleChain() = default;

LIERNE_INLINE void RuleChain::append(std::unique_ptr<StagePass const> stage) {
  entries.push_back({.stage = std::move(stage)});
}
LIERNE_INLINE void RuleChain::begin_recipe(char const* title, double recipe_rate) {
  entries.push_back({.title = title, .begins_recipe = true});
  rate = recipe_rate;
}
LIERNE_INLINE void RuleChain::end_recipe() { entries.push_back({}); }

LIERNE_INLINE std::string RuleChain::name() const {
  std::string text;
  bool first = true;
  for (auto const& entry : entries) {
    if (!entry.stage && !entry.begins_recipe) {
      text += ")";
      first = false;
      continue;
    }
    if (!first) text += " | ";
    text += entry.stage ? entry.stage->name() : entry.title + " " + number(rate) + " (";
    first = !entry.stage;
  }
  return text;
}

LIERNE_INLINE void RuleChain::check_places() const {
  std::vector<std::string_view> fields;
  detail::StageTraits before{.moves = false};
  bool leads = true;
  for (auto const& entry : entries) {
    if (!entry.stage) continue;
    auto const traits = entry.stage->traits();
    bool const leading = traits.accumulates || traits.unscales;
    check(!entry.stage->largest_norm() || leads,
          "clip_norm: it must be the first stage of a rule, found '", name(), "'");
    check(!leading || leads, "accumulate, unscale: they must stand at the beginning of a rule, found '", name(), "'");
    leads = leads && leading;
    before = joined(before, traits);
    constexpr char const* faults[] = {"",
                                      "a stage that looks at the moved weight must stand behind all that move it",
                                      "schedule_free must be the last stage that moves anything",
                                      "beside schedule_free a decay would move one of its points alone",
                                      "two stages say by which weights the model is judged",
                                      "accumulate and unscale may stand in it once",
                                      "schedule_free does not go with store and weights_in"};
    check(before.fault == detail::OrderFault::none, "rule: ", faults[static_cast<std::size_t>(before.fault)], ", found '",
          name(), "'");
    for (auto field : entry.stage->fields()) {
      check(std::ranges::find(fields, field) == fields.end(), "rule: two stages keep a field '", field, "' in '", name(),
            "' (label one of the stages: ln::labelled<\"slow\">(stage))");
      fields.push_back(field);
    }
  }
}

namespace detail {

class ChainPasses final : public Passes {
 public:
  explicit ChainPasses(RuleChain const& chain) : name_(chain.name()), rate_(chain.rate), entries_(chain.entries) {
    auto last = entries_.end();
    while (last != entries_.begin() && (last - 1)->stage && !(last - 1)->stage->traits().moves) --last;
    entries_.insert(last, {.stage = std::make_shared<StagePassOf<Apply> const>(Apply{}, field_names<Apply>())});
    for (auto const& entry : entries_) {
      if (!entry.stage) continue;
      carried_.insert(carried_.end(), entry.stage->carried().begin(), entry.stage->carried().end());
      starts_.insert(starts_.end(), entry.stage->fields().size(), entry.stage->starts_at_weight());
      numbers_ += entry.stage->number_count();
      fields_.insert(fields_.end(), entry.stage->fields().begin(), entry.stage->fields().end());
    }
    storage_.fields.resize(fields_.size());
    for (auto const& entry : entries_) {
      if (entry.stage) entry.stage->write_storage(fields_, storage_);
      if (entry.stage && entry.stage->monitor() != nullptr) monitor_ = *entry.stage->monitor();
    }
    // A monitor has no pass of its own: steps that it does not measure are those of the rule without it.
    std::erase_if(entries_, [](auto const& entry) { return entry.stage && entry.stage->monitor() != nullptr; });
    check(fields_.size() <= most_fields, "rule: a rule may keep at most ", most_fields, " fields, found ", fields_.size());
  }

  std::string name() const override { return name_; }
  // No kernels of its own are registered for a chain: elsewhere than on the CPU it takes the foreach path.
  std::type_info const& type() const override { return typeid(ChainPasses); }
  void const* whole() const override { return nullptr; }
  RuleStorage storage() const override { return storage_; }
  bool whole_tensors() const override {
    return std::ranges::any_of(entries_, [](auto const& entry) { return entry.stage && entry.stage->whole_tensor(); });
  }
  Shape field_shape(std::size_t field, Shape const& weight) const override {
    for (auto const& entry : entries_) {
      auto const own = entry.stage ? entry.stage->fields().size() : 0;
      if (field < own) return entry.stage->field_shape(field, weight);
      field -= own;
    }
    return weight;
  }
  Dimensions dimensions() const override {
    Dimensions all;
    for (auto const& entry : entries_) {
      if (!entry.stage) continue;
      auto const [fewest, most] = entry.stage->dimensions();
      all = {std::max(all.fewest, fewest), std::min(all.most, most)};
    }
    return all;
  }
  double initial_rate() const override { return rate_; }
  std::span<std::string_view const> fields() const override { return fields_; }
  std::size_t number_count() const override { return numbers_; }
  std::optional<double> largest_norm() const override {
    for (auto const& entry : entries_) {
      if (entry.stage && entry.stage->largest_norm()) return entry.stage->largest_norm();
    }
    return std::nullopt;
  }
  bool phase_boundary() const override {
    auto const needs_all = [](auto const& entry) { return entry.stage && entry.stage->traits().phase_boundary; };
    return std::ranges::any_of(entries_, needs_all);
  }
  int accumulates() const override {
    int calls = 0;
    for (auto const& entry : entries_) calls = std::max(calls, entry.stage ? entry.stage->accumulates() : 0);
    return calls;
  }
  bool unscales() const override {
    return std::ranges::any_of(entries_, [](auto const& entry) { return entry.stage && entry.stage->traits().unscales; });
  }
  std::span<std::string_view const> carried() const override { return carried_; }
  void write_numbers(Call<> const& call, double* out, double* carried = nullptr) const override {
    for (auto const& entry : entries_) {
      if (!entry.stage) continue;
      entry.stage->write_numbers(call, out, carried);
      out += entry.stage->number_count();
      carried += entry.stage->carried().size();
    }
  }
  bool starts_at_weight(std::size_t field) const override { return starts_[field]; }
  bool gives_evaluation_weights() const override {
    auto const judges = [](auto const& entry) { return entry.stage && entry.stage->traits().gives_evaluation_weights; };
    return std::ranges::any_of(entries_, judges);
  }
  TensorValue evaluation_weight(TensorValue const& weight, TensorValue const* fields) const override {
    for (auto const& entry : entries_) {
      if (!entry.stage) continue;
      if (entry.stage->traits().gives_evaluation_weights) return entry.stage->evaluation_weight(weight, fields);
      fields += entry.stage->fields().size();
    }
    return weight;
  }

  Monitor const* monitor() const override { return monitor_ ? &*monitor_ : nullptr; }
  bool counts_clipped() const override {
    auto const counts = [](auto const& entry) { return entry.stage && entry.stage->counts_clipped(); };
    return !whole_tensors() && std::ranges::any_of(entries_, counts);
  }

  void run(Stretch<float> const& stretch) const override { run_blocks(stretch); }
  void run(Stretch<double> const& stretch) const override { run_blocks(stretch); }
  void count(Stretch<float> const& stretch, float* clipped) const override { run_blocks(stretch, clipped); }
  void count(Stretch<double> const& stretch, double* clipped) const override { run_blocks(stretch, clipped); }
  void count(double const* numbers, CountingElement<TensorValue>& at, TensorValue* fields) const override {
    walk(
        numbers,
        [&](StagePass const& stage, double const* own, std::size_t field) { stage.count(own, at, fields + field); },
        [&] { at.direction = at.gradient; });
  }
  void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const override {
    run_eager(numbers, at, fields);
  }
  void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const override {
    run_eager(numbers, at, fields);
  }

 private:
  // Calls `run(stage, numbers, first field)` for each stage until a gate has held, and `begin` where the recipe begins.
  template <class Number, class Run, class Begin>
  void walk(Number const* numbers, Run const& run, Begin const& begin) const {
    std::size_t field = 0;
    for (auto const& entry : entries_) {
      if (!entry.stage) {
        if (entry.begins_recipe) begin();
        continue;
      }
      run(*entry.stage, numbers, field);
      if (entry.stage->gate() && numbers[0] != 0) return;
      numbers += entry.stage->number_count();
      field += entry.stage->fields().size();
    }
  }

  template <class T>
  void run_blocks(Stretch<T> const& stretch, T* clipped = nullptr) const {
    constexpr std::int64_t most = 2048 / sizeof(T);
    alignas(32) T gradient[most], direction[most];
    auto const size = stretch.packs * fused_lanes<T>();
    for (std::int64_t begin = 0; begin < size; begin += most) {
      auto const here = std::min(most, size - begin);
      auto const bytes = static_cast<std::size_t>(here) * sizeof(T);
      std::array<T*, most_fields> fields{};
      for (std::size_t k = 0; k < fields_.size(); ++k) fields[k] = stretch.fields[k] + begin;
      std::memcpy(gradient, stretch.gradient + begin, bytes);
      std::memcpy(direction, gradient, bytes);
      walk(
          stretch.numbers,
          [&](StagePass const& stage, T const* numbers, std::size_t field) {
            stage.run(StageBlock<T>{stretch.weight + begin, gradient, direction, fields.data() + field, numbers, here, clipped});
          },
          [&] { std::memcpy(direction, gradient, bytes); });
    }
  }

  template <class V>
  void run_eager(double const* all_numbers, Element<V>& at, V* fields) const {
    walk(
        all_numbers,
        [&](StagePass const& stage, double const* numbers, std::size_t field) { stage.run(numbers, at, fields + field); },
        [&] { at.direction = at.gradient; });
  }

  std::string name_;
  double rate_;
  std::vector<RuleChain::Entry> entries_;
  std::size_t numbers_ = 0;
  std::vector<std::string_view> fields_, carried_;
  std::vector<bool> starts_;
  RuleStorage storage_;
  std::optional<Monitor> monitor_;
};

}  // namespace detail

LIERNE_INLINE std::unique_ptr<Passes const> make_passes(RuleChain const& chain) {
  chain.check_places();
  return std::make_unique<detail::ChainPasses const>(chain);
}
#endif

}  // namespace lierne
