// SPDX-License-Identifier: Apache-2.0
// Finds the first tensor of a step that is not finite.
#pragma once

#include <string>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/train/trainable.hpp"

namespace lierne {

/// Names the first weight that is not finite, else the first activation of the batch's forward pass, in the order in which
/// it runs: `weight 'layers.0.attention.wq.weight'`, `activation 'layers.1.feed_forward'`; empty where there is none.
/// Runs the forward pass once more. Sees this process's part.
std::string first_not_finite(Trainable& model, Tensor const& tokens, Tensor const& labels, double count);

/// Names the first gradient that is not finite, in the order of the parameters; empty where there is none.
std::string first_gradient_not_finite(std::vector<Parameter*> const& parameters);

#if LIERNE_BODIES
namespace detail {

inline bool finite(Tensor const& x) {
  NoGrad const no_grad;
  return !x.defined() || x.isfinite().all().item<bool>();
}

struct FirstNotFinite final : Observer {
  std::string site{};
  void activation(std::string const& name, Tensor const& x) override {
    if (site.empty() && !finite(x)) site = name;
  }
};

}  // namespace detail

LIERNE_INLINE std::string first_not_finite(Trainable& model, Tensor const& tokens, Tensor const& labels, double count) {
  for (auto const* p : model.parameters()) {
    if (!detail::finite(p->owned)) return "weight '" + p->name + "'";
  }
  NoGrad const no_grad;
  detail::FirstNotFinite watch;
  auto const loss = model.observed_loss(tokens, labels, count, watch);
  if (!watch.site.empty()) return "activation '" + watch.site + "'";
  return detail::finite(loss) ? "" : "the loss of finite activations";
}

LIERNE_INLINE std::string first_gradient_not_finite(std::vector<Parameter*> const& parameters) {
  for (auto const* p : parameters) {
    if (!detail::finite(p->owned.grad())) return "gradient of '" + p->name + "'";
  }
  return "";
}
#endif

}  // namespace lierne
