// SPDX-License-Identifier: Apache-2.0
// Keeps experts equally busy without a loss: a bias on their selection that follows their load.
#pragma once

#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/mesh/mesh.hpp"
#include "lierne/tensor/buffer.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// A layer of experts as its balancing sees it.
struct RoutedLayer {
  Buffer* tokens_per_expert = nullptr;  ///< [E] of int64: since the last step
  Buffer* bias = nullptr;               ///< [E]; none without balancing
  double rate = 0;                      ///< how far a step moves the bias
};

/// How a step's tokens fell on a layer's experts.
struct ExpertLoad {
  std::string site;    ///< the layer: `layers.1.moe`
  double largest = 0;  ///< tokens of the busiest expert over the mean
  double unused = 0;   ///< share of experts without a token
};

/// Ends a step: counts are summed over the data-parallel ranks, each bias moves, counts begin anew. All ranks call it
/// once a step, after the last micro-batch and before the weights change.
/// Math: δ_e = rate · sign(mean n - n_e); b += δ - mean δ. Layers that counted nothing have load 0.
/// Source: Wang et al. 2024, arXiv 2408.15664, with torchtitan's zero mean.
std::vector<ExpertLoad> update_expert_bias(std::vector<RoutedLayer> const& layers, Mesh const& mesh);

#if LIERNE_BODIES
LIERNE_INLINE std::vector<ExpertLoad> update_expert_bias(std::vector<RoutedLayer> const& layers, Mesh const& mesh) {
  std::vector<ExpertLoad> loads;
  if (layers.empty()) return loads;
  NoGrad const guard;
  std::vector<Tensor> counts;
  for (auto const& layer : layers) counts.push_back(layer.tokens_per_expert->value);
  auto const all = at::cat(counts);
  mesh[Axis::replicate].sum(all);
  mesh[Axis::shard].sum(all);
  auto const host = all.cpu().to(float64);
  std::int64_t at = 0;
  for (auto const& layer : layers) {
    auto const experts = layer.tokens_per_expert->value.numel();
    if (layer.bias) {
      // Exact in float64, so that a count beyond 2^24 is not taken for the mean.
      auto const n = all.narrow(0, at, experts).to(float64);
      auto const move = at::sign(n.mean() - n).to(layer.bias->value.scalar_type()) * layer.rate;
      layer.bias->value.add_(move - move.mean());
    }
    auto const n = host.narrow(0, at, experts);
    auto const mean = n.mean().item<double>();
    auto const& name = layer.tokens_per_expert->name;
    loads.push_back({.site = name.substr(0, name.rfind('.')),
                     .largest = mean > 0 ? n.max().item<double>() / mean : 0,
                     .unused = mean > 0 ? (n == 0).to(float64).mean().item<double>() : 0});
    layer.tokens_per_expert->value.zero_();
    at += experts;
  }
  return loads;
}
#endif

}  // namespace lierne
