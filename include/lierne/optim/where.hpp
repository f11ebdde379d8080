// SPDX-License-Identifier: Apache-2.0
// Conditions on a parameter: which ones a group takes.
#pragma once

#include <functional>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/core/glob.hpp"
#include "lierne/tensor/kind.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// What a condition may look at.
struct ParameterInfo {
  std::string const& name;  ///< fully qualified
  Shape const& shape;       ///< of the whole parameter, however it is cut over ranks
  Kind kind;                ///< never `by_shape`
};

/// A condition on a parameter, with the words that stand for it in messages. Conditions join by `&&`, `||` and `!`.
/// Example: `of_kind(Kind::matrix) && !named("layers.0.*")`.
struct Where {
  std::string words;
  std::function<bool(ParameterInfo const&)> holds;

  friend Where operator&&(Where const& a, Where const& b) {
    return {a.words + " and " + b.words, [a, b](ParameterInfo const& p) { return a.holds(p) && b.holds(p); }};
  }
  friend Where operator||(Where const& a, Where const& b) {
    return {a.words + " or " + b.words, [a, b](ParameterInfo const& p) { return a.holds(p) || b.holds(p); }};
  }
  friend Where operator!(Where const& a) {
    return {"not (" + a.words + ")", [a](ParameterInfo const& p) { return !a.holds(p); }};
  }
};

/// A condition of your own. Example: `where("wide", [](ParameterInfo const& p) { return p.shape[0] > 4096; })`.
inline Where where(std::string words, std::function<bool(ParameterInfo const&)> holds) {
  return {std::move(words), std::move(holds)};
}

/// Parameters of a kind.
inline Where of_kind(Kind kind) {
  return {to_string(kind), [kind](ParameterInfo const& p) { return p.kind == kind; }};
}

/// Parameters whose whole name matches; `*` stands for any run of characters. Example: `named("layers.*.wq.weight")`.
Where named(std::string pattern);

/// Parameters of a number of dimensions.
inline Where of_dimensions(std::size_t dimensions) {
  return {std::to_string(dimensions) + " dimensions",
          [dimensions](ParameterInfo const& p) { return p.shape.size() == dimensions; }};
}

/// Parameters of a block: those below a member `layers`, by the names of torchtitan.
Where in_block();

#if LIERNE_BODIES
LIERNE_INLINE Where named(std::string pattern) {
  return {"'" + pattern + "'", [pattern](ParameterInfo const& p) { return matches_glob(pattern, p.name); }};
}

LIERNE_INLINE Where in_block() {
  return {"in a block", [](ParameterInfo const& p) {
    return p.name.starts_with("layers.") || p.name.find(".layers.") != std::string::npos;
  }};
}
#endif

}  // namespace lierne
