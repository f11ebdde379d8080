// SPDX-License-Identifier: Apache-2.0
// What a parameter is to its optimizer: the kinds by which groups are chosen. Sees the standard library only.
#pragma once

#include <cstddef>
#include <string>

namespace lierne {

/// What a parameter is to its optimizer. A module declares it where the shape alone does not tell; what is declared
/// nowhere, as in most layers of your own, goes by its shape.
/// Example: `Parameter gain{.shape = {heads, size}, .kind = Kind::norm};`
enum class Kind {
  by_shape,   ///< not declared: `matrix` with two dimensions or more, otherwise `vector`
  embedding,  ///< a table whose rows tokens pick
  output,     ///< the product that makes logits
  norm,       ///< the scale or shift of a normalisation
  matrix,     ///< the weight of a product between hidden activations
  vector      ///< a bias, a gain, a decay
};

/// The kind of a parameter of `dimensions` dimensions that was declared as `declared`; never `by_shape`.
constexpr Kind kind_of(Kind declared, std::size_t dimensions) {
  return declared != Kind::by_shape ? declared : dimensions >= 2 ? Kind::matrix : Kind::vector;
}

/// The kind as it is written: `embedding`.
inline std::string to_string(Kind kind) {
  constexpr char const* names[] = {"by_shape", "embedding", "output", "norm", "matrix", "vector"};
  return names[static_cast<int>(kind)];
}

}  // namespace lierne
