// SPDX-License-Identifier: Apache-2.0
// Fields: the tensors that a stage keeps for each parameter between calls. Sees the standard library only.
#pragma once

#include <array>
#include <string>

#include "lierne/core/fixed_string.hpp"
#include "lierne/core/pipe.hpp"

namespace lierne {

namespace detail {

// Names as a list of types sees them. `auto`, here and below, is always a FixedString: nvcc 13 does not deduce an
// argument that is declared as one.
template <auto... names>
struct FieldList {
  static constexpr int count = sizeof...(names);
};

}  // namespace detail

/// The names of a stage's fields, in the order in which `element` takes them. A field has the shape and dtype of its
/// weight and starts at zero, unless the stage says otherwise. Names are the ones that checkpoints of PyTorch use:
/// `exp_avg`, `exp_avg_sq` ...
/// Example, in a stage: `using fields = Fields<"exp_avg">;`.
template <FixedString... names>
struct Fields {
  using list = detail::FieldList<names...>;
  static constexpr int count = sizeof...(names);
};

/// Whether a moving average, which starts at zero, is divided by the weight that it has gathered, 1 - β^t.
enum class Bias { corrected, kept };

template <auto label, class Stage>
struct LabelledStage {
  using pipe_role = typename Stage::pipe_role;

  [[no_unique_address]] Stage stage;
};

/// A stage whose fields are renamed `label_name`, so that two stages of one kind fit in a pipe.
template <FixedString label, class Stage>
using Labelled = LabelledStage<label, Stage>;

/// Puts a label before the names of a stage's fields. Example: `labelled<"slow">(momentum({.beta = 0.9999}))` keeps its
/// average in `slow_exp_avg`.
template <FixedString label, class Stage>
constexpr Labelled<label, Stage> labelled(Stage stage) {
  return {static_cast<Stage&&>(stage)};
}

}  // namespace lierne
