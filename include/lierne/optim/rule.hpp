// SPDX-License-Identifier: Apache-2.0
// The rule: a pipe of stages around one recipe, checked at compile time. Sees the standard library only.
#pragma once

#include "lierne/optim/accumulate.hpp"
#include "lierne/optim/clip_norm.hpp"
#include "lierne/optim/field_shape.hpp"
#include "lierne/optim/unscale.hpp"

namespace lierne {

/// The one stage that changes weights by a direction, and the owner of the minus sign; every rule ends with it.
/// Math: w <- w - η · u.
struct Apply {
  using pipe_role = StageRole;

  constexpr auto coefficients(auto const& call) const { return std::array{call.rate}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at) {
    at.weight = at.weight - numbers[0] * at.direction;
  }
};

namespace detail {

template <class Node>
inline constexpr int recipe_count = 0;
template <class Number, class Body>
inline constexpr int recipe_count<Recipe<Number, Body>> = 1 + recipe_count<Body>;
template <class Left, class Right>
inline constexpr int recipe_count<Pipe<Left, Right>> = recipe_count<Left> + recipe_count<Right>;
template <auto label, class S>
inline constexpr int recipe_count<LabelledStage<label, S>> = recipe_count<S>;

// Whether a node has nothing but stages that may stand before `clip_norm`.
template <class Node>
inline constexpr bool leads = requires { requires Node::leads; } && !std::same_as<Node, ClipNorm>;
template <class Left, class Right>
inline constexpr bool leads<Pipe<Left, Right>> = leads<Left> && leads<Right>;

// The stage of a type in a rule, or null.
template <class S, class Node>
constexpr S const* find_stage(Node const& node) {
  if constexpr (PipeNode<Node>) {
    auto const* const left = find_stage<S>(node.left);
    return left != nullptr ? left : find_stage<S>(node.right);
  } else if constexpr (std::same_as<Node, S>) {
    return &node;
  } else {
    return nullptr;
  }
}

// Calls the check of every stage, from left to right.
template <class Node, Place place, bool first>
consteval void check_places() {
  if constexpr (PipeNode<Node>) {
    using Left = decltype(Node::left);
    constexpr bool passed = place == Place::before_recipe && recipe_count<Left> != 0;
    check_places<Left, place, first>();
    check_places<decltype(Node::right), passed ? Place::after_recipe : place, first && leads<Left>>();
  } else if constexpr (is_recipe<Node>) {
    check_places<decltype(Node::body), Place::in_recipe, false>();
  } else if constexpr (is_labelled<Node>) {
    check_places<decltype(Node::stage), place, first>();
  } else {
    if constexpr (requires { Node::changes_direction; }) {
      static_assert(place != Place::before_recipe || !Node::changes_direction,
                    "rule: a stage before the recipe changes the direction, which starts with the recipe "
                    "(write it in one: recipe(\"mine\", rate, momentum() | normalise()))");
    }
    if constexpr (ShapesFields<Node>) {
      static_assert(runs_on_whole_tensors<Node>,
                    "rule: a stage whose fields have shapes of their own works on whole tensors, not element by element "
                    "(add static constexpr bool whole_tensor = true to it, or leave field_shape out)");
    }
    if constexpr (requires { Node::template check_place<place, first>(); }) Node::template check_place<place, first>();
  }
}

template <class Node>
inline constexpr bool ends_after_apply = !traits<Node>.moves;
template <class Left, class Right>
inline constexpr bool ends_after_apply<Pipe<Left, Right>> = ends_after_apply<Right>;

// `Apply` between the stages that move the weight and those that look at it afterwards.
template <class Node>
struct WithApply {
  using type = Pipe<Node, Apply>;
  static constexpr type of(Node const& node) { return {node, {}}; }
};
template <class Left, class Right>
  requires(!traits<Right>.moves)
struct WithApply<Pipe<Left, Right>> {
  using type = Pipe<typename WithApply<Left>::type, Right>;
  static constexpr type of(Pipe<Left, Right> const& node) { return {WithApply<Left>::of(node.left), node.right}; }
};
template <class Left, class Middle, class Right>
  requires(ends_after_apply<Right> && traits<Pipe<Middle, Right>>.moves)
struct WithApply<Pipe<Left, Pipe<Middle, Right>>> {
  using Turned = Pipe<Pipe<Left, Middle>, Right>;
  using type = typename WithApply<Turned>::type;
  static constexpr type of(Pipe<Left, Pipe<Middle, Right>> const& node) {
    return WithApply<Turned>::of({{node.left, node.right.left}, node.right.right});
  }
};

// In a function of its own, so that what `check_places` finds is said first.
template <class Node>
consteval void check_order() {
  constexpr auto fault = traits<Node>.fault;
  static_assert(fault != OrderFault::twice,
                "rule: accumulate and unscale may stand in it once (leave the second out)");
  static_assert(fault != OrderFault::behind_after_apply,
                "rule: a stage that looks at the moved weight must stand behind all that move it "
                "(write adamw(...) | decay(0.1, times_rate) | ema(0.999))");
  static_assert(fault != OrderFault::behind_division,
                "rule: schedule_free must be the last stage that moves anything, since it divides the step "
                "(write recipe(\"mine\", rate, normalise()) | schedule_free())");
  static_assert(fault != OrderFault::decay_and_division,
                "rule: beside schedule_free a decay would move one of its points alone "
                "(write schedule_free_adamw({.decay = 0.1}), or decay(0.1, coupled) before the recipe)");
  static_assert(fault != OrderFault::stored,
                "rule: schedule_free solves the weight for its average, in which what store and weights_in round would grow "
                "(leave one of them out)");
  static_assert(fault != OrderFault::two_evaluations,
                "rule: two stages say by which weights the model is judged "
                "(keep one of ema(...), schedule_free(...) ...)");
}

template <auto field, auto... others>
consteval void check_field_names(FieldList<field, others...>) {
  static_assert(((field.view() != others.view()) && ...),
                "rule: two stages keep a field of one name, which is the first in this function's arguments (label one "
                "of the stages: ln::labelled<\"slow\">(stage))");
  if constexpr (sizeof...(others) > 1) check_field_names(FieldList<others...>{});
}

// Calls the checks of pieces that ask for the whole rule.
template <class Node, class Rule>
consteval void check_pieces() {
  if constexpr (PipeNode<Node>) {
    check_pieces<decltype(Node::left), Rule>();
    check_pieces<decltype(Node::right), Rule>();
  } else if constexpr (requires { Node::template check_in_rule<Rule>(); }) {
    Node::template check_in_rule<Rule>();
  }
}

}  // namespace detail

/// Checks a rule at compile time: one recipe, every stage where it may stand, no field name twice.
/// `scheduled` and `bind` call it.
template <Stage Node>
consteval bool check_rule() {
  static_assert(detail::recipe_count<Node> != 0,
                "rule: it needs a recipe, which turns the gradient into a direction "
                "(write clip_norm(1.0) | adamw(...), or wrap your own stages: recipe(\"mine\", rate, momentum() | ...))");
  static_assert(detail::recipe_count<Node> < 2,
                "rule: it may have one recipe only (leave one of adamw(...), adopt(...) ... out, "
                "or join their stages in one recipe(\"mine\", rate, ...))");
  if constexpr (detail::recipe_count<Node> == 1) {
    detail::check_places<Node, Place::before_recipe, true>();
    using Fields = typename detail::FieldsUnder<Node>::type;
    using Carried = typename detail::CarriedUnder<Node>::type;
    if constexpr (Carried::count > 0) {
      detail::check_field_names(typename detail::Joined<Fields, Carried>::type{});
    } else if constexpr (Fields::count > 1) {
      detail::check_field_names(Fields{});
    }
    detail::check_order<Node>();
    detail::check_pieces<Node, Node>();
  }
  return true;
}

/// The rate of a rule's recipe, before any schedule.
template <Stage Node>
constexpr auto initial_rate(Node const& node) {
  if constexpr (PipeNode<Node>) {
    if constexpr (detail::recipe_count<decltype(node.left)> != 0) {
      return initial_rate(node.left);
    } else {
      return initial_rate(node.right);
    }
  } else {
    return node.rate;
  }
}

/// The rule's first stage.
template <Stage Node>
constexpr auto const& first_stage(Node const& node) {
  if constexpr (PipeNode<Node>) {
    return first_stage(node.left);
  } else {
    return node;
  }
}

/// What is run for a rule: its stages and `Apply`, behind which only those stand that look at the moved weight.
template <Stage Node>
using Applied = typename detail::WithApply<Node>::type;

template <Stage Node>
constexpr Applied<Node> applied(Node const& rule) {
  return detail::WithApply<Node>::of(rule);
}

}  // namespace lierne
