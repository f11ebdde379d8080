// SPDX-License-Identifier: Apache-2.0
// A rule with stages of whole tensors, cut into phases: those stages, and fused passes over the stages between them.
#pragma once

#include "lierne/optim/kernel/passes.hpp"

namespace lierne {

/// A stage of whole tensors, or all stages between two of them as one pass over memory. Gradient and direction go from
/// phase to phase in arrays.
struct RulePhase {
  /// The pass, absent for a stage of whole tensors. Its fields: the direction to load, the stages' own, the direction to
  /// store, the gradient to store; each of the three where the phase says so.
  std::unique_ptr<Passes const> pass{};
  bool loads_direction = false;
  bool stores_direction = false;
  bool stores_gradient = false;
  void (*whole)(double const* numbers, Element<TensorValue>& at, TensorValue* fields) = nullptr;
  std::size_t first_number = 0;  ///< among the rule's
  std::size_t first_field = 0;
  std::size_t field_count = 0;   ///< the stages' own
  std::vector<std::size_t> gates{};  ///< numbers of the rule that, where they are not 0, end it behind this phase
};

namespace detail {

// The direction starts, is read from an array, or is written to one; the gradient is written to one.
struct StartRecipe {
  using pipe_role = StageRole;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    at.direction = at.gradient;
  }
};
struct LoadDirection {
  using pipe_role = StageRole;
  using fields = Fields<"direction">;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& direction) {
    at.direction = direction;
  }
};
struct StoreDirection {
  using pipe_role = StageRole;
  using fields = Fields<"next_direction">;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& direction) {
    direction = at.direction;
  }
};
struct StoreGradient {
  using pipe_role = StageRole;
  using fields = Fields<"gradient">;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& gradient) {
    gradient = at.gradient;
  }
};

// A stage that changes the direction leaves the gradient alone; of another nobody knows.
template <class S>
inline constexpr bool leaves_gradient = requires { requires S::changes_direction; };
template <>
inline constexpr bool leaves_gradient<StartRecipe> = true;

template <class... S>
struct Leaves {};
template <class... A, class... B>
Leaves<A..., B...> joined(Leaves<A...>, Leaves<B...>);

// The single stages of a rule, in order.
template <class Node>
struct LeavesOf {
  using type = Leaves<Node>;
};
template <class Left, class Right>
struct LeavesOf<Pipe<Left, Right>> {
  using type = decltype(joined(typename LeavesOf<Left>::type{}, typename LeavesOf<Right>::type{}));
};
template <class Number, class Body>
struct LeavesOf<Recipe<Number, Body>> {
  using type = decltype(joined(Leaves<StartRecipe>{}, typename LeavesOf<Body>::type{}));
};
template <auto label, class S>
struct LeavesOf<LabelledStage<label, S>> : LeavesOf<S> {};

template <class First>
First piped(Leaves<First>);
template <class First, class Second, class... Rest>
auto piped(Leaves<First, Second, Rest...>) -> decltype(piped(Leaves<Pipe<First, Second>, Rest...>{}));

/// The pass of the stages between two of whole tensors.
template <Stage Node>
class PhasePass final : public Passes {
 public:
  std::string name() const override { return "a phase"; }
  std::type_info const& type() const override { return typeid(Node); }
  void const* whole() const override { return nullptr; }
  double initial_rate() const override { return 0; }
  std::span<std::string_view const> fields() const override { return field_names<Node>(); }
  std::size_t number_count() const override { return Layout<Node>::numbers; }
  std::optional<double> largest_norm() const override { return std::nullopt; }
  // The rule's own are written by the rule.
  void write_numbers(Call<> const&, double*, double* /*carried*/ = nullptr) const override {}
  bool phase_boundary() const override { return false; }
  void run(Stretch<float> const& stretch) const override { run_vectors<Node>(stretch); }
  void run(Stretch<double> const& stretch) const override { run_packs<Node>(stretch); }
  void run(double const* numbers, Element<TensorValue>& at, TensorValue* fields) const override {
    run_stages<Node, StageCode::apart>(numbers, at, fields);
  }
  void run(double const* numbers, Element<TensorListValue>& at, TensorListValue* fields) const override {
    run_stages<Node, StageCode::apart>(numbers, at, fields);
  }
};

struct PhaseBuilder {
  std::vector<RulePhase> phases{};
  std::size_t number = 0;
  std::size_t field = 0;

  template <class S>
  void count(RulePhase& phase) {
    if constexpr (Gate<S>) phase.gates.push_back(number);
    number += Layout<S>::numbers;
    field += Layout<S>::fields;
    phase.field_count += Layout<S>::fields;
  }

  // Between two stages of whole tensors; `started`: the recipe began before them; `last`: nothing comes after them.
  template <bool started, bool last, class... S>
  void add(Leaves<S...>) {
    constexpr bool starts = (std::same_as<S, StartRecipe> || ...);
    constexpr bool loads = started, stores = !last && (started || starts);
    constexpr bool stores_gradient = !last && !(leaves_gradient<S> && ...);
    using Loading = std::conditional_t<loads, Leaves<LoadDirection>, Leaves<>>;
    using Storing = std::conditional_t<stores, Leaves<StoreDirection>, Leaves<>>;
    using StoringGradient = std::conditional_t<stores_gradient, Leaves<StoreGradient>, Leaves<>>;
    using All = decltype(joined(joined(Loading{}, Leaves<S...>{}), joined(Storing{}, StoringGradient{})));
    auto& phase = phases.emplace_back(RulePhase{.pass = std::make_unique<PhasePass<decltype(piped(All{}))> const>(),
                                            .loads_direction = loads,
                                            .stores_direction = stores,
                                            .stores_gradient = stores_gradient,
                                            .first_number = number,
                                            .first_field = field});
    (count<S>(phase), ...);
  }

  template <class S>
  void add_whole() {
    auto& phase = phases.emplace_back(RulePhase{.whole = [](double const* numbers, Element<TensorValue>& at, TensorValue* fields) {
                                              run_stage_apart<S>(numbers, at, fields);
                                            },
                                            .first_number = number,
                                            .first_field = field});
    count<S>(phase);
  }

  // `open`: per-element stages seen since the last stage of whole tensors.
  template <bool started, class... Open>
  void cut(Leaves<Open...> open, Leaves<>) {
    if constexpr (sizeof...(Open) > 0) add<started, true>(open);
  }
  template <bool started, class... Open, class Next, class... Rest>
  void cut(Leaves<Open...> open, Leaves<Next, Rest...>) {
    if constexpr (runs_on_whole_tensors<Next>) {
      if constexpr (sizeof...(Open) > 0) add<started, false>(open);
      add_whole<Next>();
      cut<started || (std::same_as<Open, StartRecipe> || ...)>(Leaves<>{}, Leaves<Rest...>{});
    } else {
      cut<started>(Leaves<Open..., Next>{}, Leaves<Rest...>{});
    }
  }
};

}  // namespace detail

/// The phases of a rule's stages.
template <class Whole>
std::vector<RulePhase> make_phases() {
  detail::PhaseBuilder builder;
  builder.cut<false>(detail::Leaves<>{}, typename detail::LeavesOf<Whole>::type{});
  return std::move(builder.phases);
}

}  // namespace lierne
