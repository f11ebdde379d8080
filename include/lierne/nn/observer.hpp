// SPDX-License-Identifier: Apache-2.0
// Who looks at the values of a forward pass while they are made.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lierne/core/compiled.hpp"
#include "lierne/nn/kernel/visible_keys.hpp"
#include "lierne/tensor/autograd.hpp"

#if LIERNE_BODIES
#include <cmath>
#endif

namespace lierne {

/// Sees the values of a forward pass, and leaves them as they are. Sites are named after the modules that make them:
/// `tok_embeddings`, `layers.3.attention` and `layers.3.feed_forward` (what is added to the residual stream),
/// `layers.3` (the stream behind the layer), `norm`. Under a plan every rank sees its part: together, each value once.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void activation(std::string const& site, Tensor const& x) = 0;
  /// The queries [B, L, N, H] and keys [B, L, K, H] whose products, times `scale`, are the attention's logits, and which
  /// of them count.
  virtual void attention(std::string const& /*site*/, Tensor const& /*q*/, Tensor const& /*k*/,
                         kernel::VisibleKeys const& /*visible*/, double /*scale*/) {}
};

/// Where a module's values go when nobody looks: an empty type, whose calls leave no instruction.
struct Unobserved {
  static constexpr bool looks = false;
  static constexpr void see(auto const&...) {}
  static constexpr void attention(auto const&...) {}
  static constexpr Unobserved below(std::string_view) { return {}; }
};

/// Where they go when an observer looks. A layer that takes one as its last argument may show more than its result.
/// Example: `Tensor operator()(Tensor const& x, Sequence const&, auto const& watch) const { watch.attention(q, k);`
struct Observed {
  static constexpr bool looks = true;
  Observer* observer;
  std::string site{};

  void see(Tensor const& x) const;
  /// `scale`: 1/√H if not given.
  void attention(Tensor const& q, Tensor const& k, kernel::VisibleKeys const& visible = {},
                 std::optional<double> scale = {}) const;
  Observed below(std::string_view name) const;
};

#if LIERNE_BODIES
LIERNE_INLINE void Observed::see(Tensor const& x) const {
  NoGrad const no_grad;
  observer->activation(site, x.detach());
}

LIERNE_INLINE void Observed::attention(Tensor const& q, Tensor const& k, kernel::VisibleKeys const& visible,
                                       std::optional<double> scale) const {
  NoGrad const no_grad;
  observer->attention(site, q.detach(), k.detach(), visible,
                      scale.value_or(1 / std::sqrt(static_cast<double>(q.size(3)))));
}

LIERNE_INLINE Observed Observed::below(std::string_view name) const {
  return {observer, site.empty() ? std::string(name) : site + "." + std::string(name)};
}
#endif

}  // namespace lierne
