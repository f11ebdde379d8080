// SPDX-License-Identifier: Apache-2.0
// The record of a mixture of experts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/roles.hpp"

namespace lierne {

/// How a router turns its logits into scores.
enum class Score { sigmoid, softmax };

/// A sparse feed-forward: a router sends each token to `top_k` of `experts` SwiGLU networks; `shared` experts, which are
/// one network of their joint width, see every token.
/// Math: s = score(W_r x); the choice is the top k of s + b; g = s there, by route_norm divided by its sum over the
/// choices, times route_scale; y = shared(x) + Σ expert_e(g_e x), or Σ g_e expert_e(x) without `score_before_experts`.
/// The selection bias b never enters g. Once a step b moves by `balance` towards experts that got fewer tokens than the
/// mean; `auxiliary` weighs Switch's loss E Σ_e f_e P_e instead, or besides.
/// The hidden size of an expert is `hidden` where given; else Llama's rule (see SwiGlu), divided by top_k + shared
/// (truncated) with `auto_scale_hidden_dim`, rounded up to `multiple_of`.
/// Source: torchtitan experiments/llama4; Wang et al. 2024, arXiv 2408.15664 (bias); Fedus et al. 2021, arXiv 2101.03961
/// (auxiliary loss).
/// Errors (compile time): 1 ≤ top_k ≤ experts, shared, route_scale, balance and auxiliary at least 0; plan.tensor must be 1.
/// Example: `.channel = every<2>(Moe{.experts = 16}, SwiGlu{})`.
struct Moe {
  static constexpr Role role = Role::channel;
  static constexpr std::string_view module_name = "moe";  ///< of its parameters below a block

  int experts = 8;
  int top_k = 1;   ///< experts that a token is sent to
  int shared = 1;  ///< experts that all tokens are sent to
  Score score = Score::sigmoid;
  bool route_norm = false;
  double route_scale = 1;
  bool score_before_experts = true;  ///< scores multiply what experts read, not what they return
  double balance = 1e-3;             ///< step of the selection bias; 0: no bias
  double auxiliary = 0;              ///< coefficient of the auxiliary loss; 0: none
  bool forced_balance = false;       ///< for measurements: choice k of token n is expert (n·top_k + k) mod experts
  int hidden = 0;                    ///< 0: by the rule
  double multiplier = 0;             ///< 0: none
  int multiple_of = 256;
  bool auto_scale_hidden_dim = true;

  /// Of one expert. The shared network is `shared` times as wide.
  constexpr int hidden_size(int width) const {
    if (hidden != 0) return hidden;
    auto size = static_cast<std::int64_t>(2.0 * (4.0 * width) / 3.0);
    if (multiplier != 0) size = static_cast<std::int64_t>(multiplier * static_cast<double>(size));
    if (auto_scale_hidden_dim) size /= std::int64_t{top_k} + shared;
    return static_cast<int>((size + multiple_of - 1) / multiple_of * multiple_of);
  }
  /// Weights of the experts, the router and the shared network; the selection bias is a buffer and does not count.
  constexpr std::int64_t parameters(int width) const { return weights(width, experts); }
  /// Those that one token meets.
  constexpr std::int64_t active_parameters(int width) const { return weights(width, top_k); }

  /// Example: `moe 8 top 1 shared 1`, `moe 64 top 6 shared 2 softmax norm scale 2.5 after bias 0 hidden 1408`.
  std::string name() const;
  friend constexpr bool operator==(Moe const&, Moe const&) = default;

 private:
  constexpr std::int64_t weights(int width, int routed) const {
    return 3LL * width * hidden_size(width) * (std::int64_t{routed} + shared) + std::int64_t{experts} * width;
  }
};

#if LIERNE_BODIES
LIERNE_INLINE std::string Moe::name() const {
  std::string text = "moe " + std::to_string(experts) + " top " + std::to_string(top_k) + " shared " +
                     std::to_string(shared) + (score == Score::softmax ? " softmax" : "") + (route_norm ? " norm" : "");
  if (route_scale != 1) text += " scale " + number(route_scale);
  if (!score_before_experts) text += " after";
  if (balance != 1e-3) text += " bias " + number(balance);
  if (auxiliary != 0) text += " auxiliary " + number(auxiliary);
  if (forced_balance) text += " forced";
  if (hidden != 0) return text + " hidden " + std::to_string(hidden);
  if (multiplier != 0) text += " x" + number(multiplier);
  if (multiple_of != 256) text += " by " + std::to_string(multiple_of);
  return text + (auto_scale_hidden_dim ? "" : " unscaled");
}
#endif

}  // namespace lierne
