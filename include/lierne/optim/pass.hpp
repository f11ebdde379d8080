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

template <class S>
constexpr int number_count() {
  if constexpr (requires(S const& stage, Call<> call) { stage.coefficients(call); }) {
    return std::tuple_size_v<decltype(std::declval<S const&>().coefficients(Call<>{}))>;
  } else {
    return 0;
  }
}

}  // namespace detail

/// How many fields and uniform numbers a pipe has. A gate has one number more, first: whether it holds.
template <Stage S>
struct Layout {
  static constexpr int fields = detail::FieldsUnder<S>::type::count;
  static constexpr int numbers = detail::number_count<S>() + (Gate<S> ? 1 : 0);
};
template <class Left, class Right>
struct Layout<Pipe<Left, Right>> {
  static constexpr int fields = Layout<Left>::fields + Layout<Right>::fields;
  static constexpr int numbers = Layout<Left>::numbers + Layout<Right>::numbers;
};
template <class Number, class Body>
struct Layout<Recipe<Number, Body>> : Layout<Body> {};
template <auto label, class S>
struct Layout<LabelledStage<label, S>> : Layout<S> {};

/// Writes the uniform numbers of a pipe for one call to `out`, `Layout::numbers` of them, in pipe order.
template <class Number, Stage Node, class CallNumber>
constexpr void write_numbers(Node const& node, Call<CallNumber> const& call, Number* out) {
  if constexpr (PipeNode<Node>) {
    write_numbers(node.left, call, out);
    write_numbers(node.right, call, out + Layout<decltype(node.left)>::numbers);
  } else if constexpr (detail::is_recipe<Node>) {
    write_numbers(node.body, call, out);
  } else if constexpr (detail::is_labelled<Node>) {
    write_numbers(node.stage, call, out);
  } else {
    if constexpr (Gate<Node>) *out++ = node.holds(call) ? 1.0 : 0.0;
    if constexpr (Layout<Node>::numbers > (Gate<Node> ? 1 : 0)) {
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

}  // namespace lierne
