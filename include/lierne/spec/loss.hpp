// SPDX-License-Identifier: Apache-2.0
// The loss slot: what is made of logits and labels.
#pragma once

#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// The cross entropy of the next token, with two options that keep logits small.
/// Math, per position: lse(y) - y[label] + z·lse(y)², where lse is the log of the sum of exponentials and y the logits,
/// or soft_cap·tanh(logits / soft_cap). Units: nats.
/// Source: z-loss, PaLM (Chowdhery et al. 2022, arXiv 2204.02311); soft cap, Gemma 2 (arXiv 2408.00118).
struct CrossEntropy {
  static constexpr Role role = Role::loss;

  double z = 0;         ///< 0: off; PaLM has 1e-4
  double soft_cap = 0;  ///< 0: off; Gemma 2 has 30. Evaluation and sampling see capped logits too

  std::string name() const;
  friend constexpr bool operator==(CrossEntropy const&, CrossEntropy const&) = default;
};

#if LIERNE_BODIES
LIERNE_INLINE std::string CrossEntropy::name() const {
  return "cross entropy" + (z == 0 ? std::string{} : " z " + number(z)) +
         (soft_cap == 0 ? std::string{} : " cap " + number(soft_cap));
}
#endif

}  // namespace lierne
