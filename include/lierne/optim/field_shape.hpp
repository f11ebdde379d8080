// SPDX-License-Identifier: Apache-2.0
// What a stage of whole tensors says about shapes: its fields', and those of weights that it takes. Sees the standard
// library only.
#pragma once

#include <vector>

#include "lierne/optim/pass.hpp"

namespace lierne {

/// The sizes of a tensor from the outermost dimension to the innermost.
using FieldShape = std::vector<std::int64_t>;

/// Satisfied if and only if the stage says which shape each of its fields has. Satisfied by `NormaliseRows`, `Soap`.
template <class T>
concept ShapesFields = Stage<T> && requires(T const& stage, FieldShape const& weight) {
  { stage.field_shape(0, weight) } -> std::same_as<FieldShape>;
};

/// How many dimensions a parameter may have. A stage says so by `static constexpr Dimensions dimensions{2, 2};`.
struct Dimensions {
  int fewest = 0;
  int most = 1 << 30;
};

/// What all stages of a pipe take.
template <class Node>
inline constexpr Dimensions dimensions_of = [] {
  if constexpr (requires { Node::dimensions; }) {
    return Node::dimensions;
  } else {
    return Dimensions{};
  }
}();
template <class Left, class Right>
inline constexpr Dimensions dimensions_of<Pipe<Left, Right>> = {
    dimensions_of<Left>.fewest > dimensions_of<Right>.fewest ? dimensions_of<Left>.fewest : dimensions_of<Right>.fewest,
    dimensions_of<Left>.most < dimensions_of<Right>.most ? dimensions_of<Left>.most : dimensions_of<Right>.most};
template <class Number, class Body>
inline constexpr Dimensions dimensions_of<Recipe<Number, Body>> = dimensions_of<Body>;
template <auto label, class S>
inline constexpr Dimensions dimensions_of<LabelledStage<label, S>> = dimensions_of<S>;

/// The shape of the field at `index` of a pipe, in pipe order, for a weight of a shape.
template <Stage Node>
FieldShape field_shape(Node const& node, int index, FieldShape const& weight) {
  if constexpr (PipeNode<Node>) {
    constexpr int left = Layout<decltype(node.left)>::fields;
    return index < left ? field_shape(node.left, index, weight) : field_shape(node.right, index - left, weight);
  } else if constexpr (detail::is_recipe<Node>) {
    return field_shape(node.body, index, weight);
  } else if constexpr (detail::is_labelled<Node>) {
    return field_shape(node.stage, index, weight);
  } else if constexpr (ShapesFields<Node>) {
    return node.field_shape(index, weight);
  } else {
    return weight;
  }
}

}  // namespace lierne
