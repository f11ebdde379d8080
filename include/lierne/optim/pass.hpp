// SPDX-License-Identifier: Apache-2.0
// Running a pipe of stages on one value: how one definition serves every path. Sees the standard library only.
#pragma once

#include <span>
#include <string_view>
#include <tuple>

#include "lierne/optim/recipe.hpp"

namespace lierne {

namespace detail {

template <class A, class B>
struct Joined;
template <auto... a, auto... b>
struct Joined<FieldList<a...>, FieldList<b...>> {
  using type = FieldList<a..., b...>;
};

template <FixedString label, FixedString name>
consteval auto with_label() {
  char text[sizeof label.text + sizeof name.text]{};
  char* at = text;
  for (char letter : label.view()) *at++ = letter;
  *at++ = '_';
  for (char letter : name.view()) *at++ = letter;
  return FixedString(text);
}

// The names of all fields under a node, in pipe order.
template <class Node>
struct FieldsUnder {
  using type = FieldList<>;
};
template <class S>
  requires requires { typename S::fields; }
struct FieldsUnder<S> {
  using type = typename S::fields::list;
};
template <class Left, class Right>
struct FieldsUnder<Pipe<Left, Right>>
    : Joined<typename FieldsUnder<Left>::type, typename FieldsUnder<Right>::type> {};
template <class Number, class Body>
struct FieldsUnder<Recipe<Number, Body>> : FieldsUnder<Body> {};
template <auto label, auto... names>
FieldList<with_label<label, names>()...> labelled_list(FieldList<names...>);
template <auto label, class S>
struct FieldsUnder<LabelledStage<label, S>> {
  using type = decltype(labelled_list<label>(typename FieldsUnder<S>::type{}));
};

// The names of all numbers that a node carries from call to call, in pipe order.
template <class Node>
struct CarriedUnder {
  using type = FieldList<>;
};
template <class S>
  requires requires { typename S::carried; }
struct CarriedUnder<S> {
  using type = typename S::carried::list;
};
template <class Left, class Right>
struct CarriedUnder<Pipe<Left, Right>>
    : Joined<typename CarriedUnder<Left>::type, typename CarriedUnder<Right>::type> {};
template <class Number, class Body>
struct CarriedUnder<Recipe<Number, Body>> : CarriedUnder<Body> {};
template <auto label, class S>
struct CarriedUnder<LabelledStage<label, S>> {
  using type = decltype(labelled_list<label>(typename CarriedUnder<S>::type{}));
};

// Calls visit.operator()<S>() for every single stage from left to right, inside recipes and labels as well.
template <class Node, class Visit>
constexpr void for_each_stage_type(Visit const& visit) {
  if constexpr (PipeNode<Node>) {
    for_each_stage_type<decltype(Node::left)>(visit);
    for_each_stage_type<decltype(Node::right)>(visit);
  } else if constexpr (is_recipe<Node>) {
    for_each_stage_type<decltype(Node::body)>(visit);
  } else if constexpr (is_labelled<Node>) {
    for_each_stage_type<decltype(Node::stage)>(visit);
  } else {
    visit.template operator()<Node>();
  }
}

// What the order of a rule's stages depends on: of one stage, or of several joined.
enum class OrderFault { none, behind_after_apply, behind_division, decay_and_division, two_evaluations, twice, stored };
struct StageTraits {
  bool moves = true;                     // something before or with `Apply`
  bool after_apply = false;              // runs when the weight has moved
  bool divides_the_step = false;         // between the weight and a point of its own
  bool moves_weight = false;             // besides `Apply`
  bool gives_evaluation_weights = false;
  bool phase_boundary = false;           // needs all gradients first
  bool accumulates = false;
  bool unscales = false;
  bool stores = false;                   // says how state or weights are stored
  OrderFault fault = OrderFault::none;   // the first, from the left
};

constexpr StageTraits joined(StageTraits const& left, StageTraits const& right) {
  auto fault = left.fault != OrderFault::none ? left.fault : right.fault;
  if (fault == OrderFault::none) {
    if (left.after_apply && right.moves) fault = OrderFault::behind_after_apply;
    if (left.divides_the_step && right.moves) fault = OrderFault::behind_division;
    if (left.gives_evaluation_weights && right.gives_evaluation_weights) fault = OrderFault::two_evaluations;
    bool const decays = (left.divides_the_step && right.moves_weight) || (left.moves_weight && right.divides_the_step);
    if (decays) fault = OrderFault::decay_and_division;
    if ((left.accumulates && right.accumulates) || (left.unscales && right.unscales)) fault = OrderFault::twice;
    if ((left.divides_the_step && right.stores) || (left.stores && right.divides_the_step)) fault = OrderFault::stored;
  }
  return {.moves = left.moves || right.moves,
          .after_apply = left.after_apply || right.after_apply,
          .divides_the_step = left.divides_the_step || right.divides_the_step,
          .moves_weight = left.moves_weight || right.moves_weight,
          .gives_evaluation_weights = left.gives_evaluation_weights || right.gives_evaluation_weights,
          .phase_boundary = left.phase_boundary || right.phase_boundary,
          .accumulates = left.accumulates || right.accumulates,
          .unscales = left.unscales || right.unscales,
          .stores = left.stores || right.stores,
          .fault = fault};
}

// One variable a node, so that rules with equal beginnings share them.
template <class S>
inline constexpr StageTraits traits = {
    .moves = !requires { requires S::after_apply; } && !requires { requires S::passive; },
    .after_apply = requires { requires S::after_apply; },
    .divides_the_step = requires { requires S::divides_the_step; },
    .moves_weight = requires { requires S::moves_weight; },
    .gives_evaluation_weights = requires { requires S::gives_evaluation_weights; },
    .phase_boundary = requires { requires S::phase_boundary; },
    .accumulates = requires { requires S::accumulates_gradients; },
    .unscales = requires { requires S::unscales_gradients; },
    .stores = requires { requires S::stores; }};
template <class Left, class Right>
inline constexpr StageTraits traits<Pipe<Left, Right>> = joined(traits<Left>, traits<Right>);
template <class Number, class Body>
inline constexpr StageTraits traits<Recipe<Number, Body>> = traits<Body>;
template <auto label, class S>
inline constexpr StageTraits traits<LabelledStage<label, S>> = traits<S>;

template <class S>
constexpr int number_count() {
  if constexpr (requires { typename S::carried; }) {
    using Carried = std::array<double, S::carried::count>;
    return std::tuple_size_v<decltype(std::declval<S const&>().coefficients(Call<>{}, std::declval<Carried&>()))>;
  } else if constexpr (requires(S const& stage, Call<> call) { stage.coefficients(call); }) {
    return std::tuple_size_v<decltype(std::declval<S const&>().coefficients(Call<>{}))>;
  } else {
    return 0;
  }
}

}  // namespace detail

/// How many fields, carried numbers and uniform numbers a pipe has. A gate has one number more, first: whether it
/// holds.
template <Stage S>
struct Layout {
  static constexpr int fields = detail::FieldsUnder<S>::type::count;
  static constexpr int carried = detail::CarriedUnder<S>::type::count;
  static constexpr int numbers = detail::number_count<S>() + (Gate<S> ? 1 : 0);
};
template <class Left, class Right>
struct Layout<Pipe<Left, Right>> {
  static constexpr int fields = Layout<Left>::fields + Layout<Right>::fields;
  static constexpr int carried = Layout<Left>::carried + Layout<Right>::carried;
  static constexpr int numbers = Layout<Left>::numbers + Layout<Right>::numbers;
};
template <class Number, class Body>
struct Layout<Recipe<Number, Body>> : Layout<Body> {};
template <auto label, class S>
struct Layout<LabelledStage<label, S>> : Layout<S> {};

/// Writes the uniform numbers of a pipe for one call to `out`, `Layout::numbers` of them, in pipe order. `carried` are
/// the `Layout::carried` numbers that the parameter's last call left; they become those of this one.
template <class Number, Stage Node, class CallNumber>
constexpr void write_numbers(Node const& node, Call<CallNumber> const& call, Number* out, Number* carried = nullptr) {
  if constexpr (PipeNode<Node>) {
    using Left = Layout<decltype(node.left)>;
    write_numbers(node.left, call, out, carried);
    write_numbers(node.right, call, out + Left::numbers, carried + Left::carried);
  } else if constexpr (detail::is_recipe<Node>) {
    write_numbers(node.body, call, out, carried);
  } else if constexpr (detail::is_labelled<Node>) {
    write_numbers(node.stage, call, out, carried);
  } else {
    if constexpr (Gate<Node>) *out++ = node.holds(call) ? 1.0 : 0.0;
    if constexpr (Layout<Node>::carried > 0) {
      std::array<Number, Layout<Node>::carried> own;
      for (std::size_t k = 0; k < own.size(); ++k) own[k] = carried[k];
      for (auto const& number : node.coefficients(call, own)) *out++ = number;
      for (std::size_t k = 0; k < own.size(); ++k) carried[k] = own[k];
    } else if constexpr (Layout<Node>::numbers > (Gate<Node> ? 1 : 0)) {
      for (auto const& number : node.coefficients(call)) *out++ = number;
    }
  }
}

namespace detail {

template <class Node, class At, class V, class Number>
constexpr bool run_stage(Number const* numbers, At& at, V* fields) {
  constexpr int gate = Gate<Node> ? 1 : 0;
  std::array<Number, Layout<Node>::numbers - gate> own{};
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = numbers[i + gate];
  return [&]<std::size_t... k>(std::index_sequence<k...>) {
    if constexpr (Gate<Node>) {
      if (static_cast<bool>(numbers[0] != Number(0))) {
        Node::hold(own, at, fields[k]...);
        return false;
      }
    }
    Node::element(own, at, fields[k]...);
    return true;
  }(std::make_index_sequence<Layout<Node>::fields>{});
}

template <class Node, class At, class V, class Number>
[[gnu::noinline]] bool run_stage_apart(Number const* numbers, At& at, V* fields) {
  return run_stage<Node>(numbers, at, fields);
}

}  // namespace detail

/// Whether a rule has a stage of whole tensors, which packs cannot run.
template <class Node>
inline constexpr bool runs_on_whole_tensors = requires { requires Node::whole_tensor; };
template <class Left, class Right>
inline constexpr bool runs_on_whole_tensors<Pipe<Left, Right>> = runs_on_whole_tensors<Left> || runs_on_whole_tensors<Right>;
template <class Number, class Body>
inline constexpr bool runs_on_whole_tensors<Recipe<Number, Body>> = runs_on_whole_tensors<Body>;
template <auto label, class S>
inline constexpr bool runs_on_whole_tensors<LabelledStage<label, S>> = runs_on_whole_tensors<S>;

/// Where the code of a stage goes: into its rule, so that values stay in registers, or apart, once for all rules that
/// contain the stage. Apart is many times quicker to compile, and as good where one operation is a whole tensor.
enum class StageCode { inlined, apart };

/// Runs the stages of `Node` from left to right on one value; false when a gate held, so that nothing after it may run.
/// `numbers` are what `write_numbers` wrote, in the scalar that `V` computes with; `fields` the pipe's, in pipe order.
/// `at` is an `Element<V>`, or a `CountingElement<V>` in a measured step.
template <Stage Node, StageCode code = StageCode::inlined, class At, Value V, class Number>
constexpr bool run_stages(Number const* numbers, At& at, V* fields) {
  if constexpr (PipeNode<Node>) {
    using Left = decltype(Node::left);
    return run_stages<Left, code>(numbers, at, fields) &&
           run_stages<decltype(Node::right), code>(numbers + Layout<Left>::numbers, at, fields + Layout<Left>::fields);
  } else if constexpr (detail::is_recipe<Node>) {
    at.direction = at.gradient;
    return run_stages<decltype(Node::body), code>(numbers, at, fields);
  } else if constexpr (detail::is_labelled<Node>) {
    return run_stages<decltype(Node::stage), code>(numbers, at, fields);
  } else if constexpr (code == StageCode::apart) {
    return detail::run_stage_apart<Node>(numbers, at, fields);
  } else {
    return detail::run_stage<Node>(numbers, at, fields);
  }
}

namespace detail {

template <class Names>
struct NameTable;
template <auto... names>
struct NameTable<FieldList<names...>> {
  // One place more: an array may not be empty.
  static constexpr std::string_view table[sizeof...(names) + 1] = {names.view()...};
};

}  // namespace detail

/// The names of a pipe's fields, in pipe order.
template <Stage Node>
constexpr std::span<std::string_view const> field_names() {
  using Names = typename detail::FieldsUnder<Node>::type;
  return {detail::NameTable<Names>::table, Names::count};
}

/// The names of the numbers that a pipe carries, in pipe order.
template <Stage Node>
constexpr std::span<std::string_view const> carried_names() {
  using Names = typename detail::CarriedUnder<Node>::type;
  return {detail::NameTable<Names>::table, Names::count};
}

/// Which fields of a pipe start as copies of the weight, in pipe order. The others start at zero.
template <Stage Node>
constexpr auto fields_that_start_at_weight() {
  std::array<bool, Layout<Node>::fields + 1> starts{};  // one more: an array may not be empty
  std::size_t k = 0;
  detail::for_each_stage_type<Node>([&]<class S>() {
    for (int i = 0; i < Layout<S>::fields; ++i) starts[k++] = requires { requires S::fields_start_at_weight; };
  });
  return starts;
}

/// The weight by which the model is judged: by the stage that says so, or the trained one. `fields` are the pipe's.
template <Stage Node, Value V>
constexpr V evaluation_weight(Node const& node, V const& weight, V const* fields) {
  if constexpr (!detail::traits<Node>.gives_evaluation_weights) {
    return weight;
  } else if constexpr (PipeNode<Node>) {
    using Left = decltype(node.left);
    if constexpr (detail::traits<Left>.gives_evaluation_weights) {
      return evaluation_weight(node.left, weight, fields);
    } else {
      return evaluation_weight(node.right, weight, fields + Layout<Left>::fields);
    }
  } else if constexpr (detail::is_recipe<Node>) {
    return evaluation_weight(node.body, weight, fields);
  } else if constexpr (detail::is_labelled<Node>) {
    return evaluation_weight(node.stage, weight, fields);
  } else {
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
      return node.evaluation_weight(weight, fields[k]...);
    }(std::make_index_sequence<Layout<Node>::fields>{});
  }
}

}  // namespace lierne
