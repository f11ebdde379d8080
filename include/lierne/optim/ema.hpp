// SPDX-License-Identifier: Apache-2.0
// The exponential moving average of a parameter's weights, by which a model may be judged. Sees the standard library
// only.
#pragma once

#include "lierne/optim/recipe.hpp"

namespace lierne {

/// How the decay of an average of weights starts: at once, or so that early weights are soon forgotten.
enum class EmaWarmup {
  none,
  harmonic  ///< min(d, (1 + t) / (10 + t)) with t finished calls: TensorFlow's
};

/// An average of the weights that a rule passes through, kept in the same pass over memory; the rule itself goes as
/// without. The evaluation weights of the rule (`EvaluationWeights`) are the average.
/// Math: after the weight has moved, a <- w in a parameter's first call, later a <- d·a + (1 - d)·w.
/// Where a gate holds, the average does not move either; it starts as a copy of the weight.
/// Numerics: beside `weights_in` the average is of the weights before they are rounded, and lies in float32.
/// Errors (compile time): it must stand after all stages that move the weight.
/// Source: torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn.
template <EmaWarmup warmup = EmaWarmup::none, class Number = double>
struct Ema {
  using pipe_role = StageRole;
  using fields = Fields<"ema">;
  static constexpr bool after_apply = true;
  static constexpr bool fields_start_at_weight = true;
  static constexpr bool gives_evaluation_weights = true;

  Number decay = 0.999;

  constexpr auto coefficients(auto const& call) const {
    Number decay_here = call.calls == 0 ? Number(0) : decay;
    if constexpr (warmup == EmaWarmup::harmonic) {
      auto const t = static_cast<double>(call.calls);
      if (call.calls > 0 && (1 + t) / (10 + t) < decay) decay_here = (1 + t) / (10 + t);
    }
    return std::array<Number, 1>{decay_here};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& average) {
    average = at.weight + numbers[0] * (average - at.weight);
  }
  template <class V>
  constexpr V evaluation_weight(V const&, V const& average) const {
    return average;
  }
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::after_recipe, "ema: it must stand after the recipe (write adamw(...) | ema(0.999))");
  }
  std::string name() const {
    return "ema " + number(decay) + (warmup == EmaWarmup::harmonic ? " with harmonic warmup" : "");
  }
};

/// Example: `adamw() | decay(0.1, times_rate) | ema(0.999)`, `adamw() | ema<EmaWarmup::harmonic>(0.9999)`.
template <EmaWarmup warmup = EmaWarmup::none>
constexpr Ema<warmup> ema(double decay) {
  return {.decay = decay};
}

}  // namespace lierne
