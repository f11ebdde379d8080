// SPDX-License-Identifier: Apache-2.0
// The recipe: the stages between gradient and direction, with the rate. Sees the standard library only.
#pragma once

#include <string>

#include "lierne/core/number.hpp"
#include "lierne/optim/stage.hpp"

namespace lierne {

/// The core of a rule: how a direction comes from a gradient, and the rate at which the rule follows it.
/// A rule has exactly one. Named recipes (`adamw`, `adopt` ...) are calls of `recipe`.
template <class Number, Stage Body>
struct Recipe {
  using pipe_role = StageRole;

  char const* title;
  Number rate;  ///< the initial rate: a schedule multiplies it
  [[no_unique_address]] Body body;
};

/// Makes a recipe of your own. Math: u <- body(g); the rule that contains it then does w <- w - rate · u.
/// Example: `auto laprop = recipe("laprop", 1e-3, normalise({.beta = 0.999}) | momentum({.beta = 0.9}));`
template <class Number, Stage Body>
constexpr Recipe<Number, Body> recipe(char const* title, Number rate, Body body) {
  return {title, rate, static_cast<Body&&>(body)};
}

namespace detail {

template <class T>
inline constexpr bool is_recipe = false;
template <class Number, class Body>
inline constexpr bool is_recipe<Recipe<Number, Body>> = true;

template <class T>
inline constexpr bool is_labelled = false;
template <auto label, class S>
inline constexpr bool is_labelled<LabelledStage<label, S>> = true;

}  // namespace detail

namespace detail {

template <Stage Node>
void append_name(Node const& node, std::string& text) {
  if constexpr (PipeNode<Node>) {
    append_name(node.left, text);
    text += " | ";
    append_name(node.right, text);
  } else if constexpr (is_recipe<Node>) {
    text += node.title;
    text += " " + number(node.rate) + " (";
    append_name(node.body, text);
    text += ")";
  } else if constexpr (is_labelled<Node>) {
    append_name(node.stage, text);
  } else if constexpr (requires { node.name(); }) {
    text += node.name();
  } else {
    text += "own stage";
  }
}

}  // namespace detail

/// The rule in one line, with the settings that make it. A stage of your own is named by its `name()`, where it has one.
/// Example: `clip_norm 1 | adamw 0.001 (momentum 0.9 corrected | second moment 0.999 + 1e-08) | decay 0.1 times_rate`.
template <Stage Node>
std::string name(Node const& node) {
  std::string text;
  detail::append_name(node, text);
  return text;
}

}  // namespace lierne
