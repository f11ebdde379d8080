// SPDX-License-Identifier: Apache-2.0
// Schedule-Free: the step goes to a fast point, the gradient is taken near its average. Sees the standard library only.
#pragma once

#include <cmath>
#include <type_traits>

#include "lierne/core/error.hpp"
#include "lierne/optim/normalise.hpp"

namespace lierne {

namespace detail {

template <class Number>
constexpr void check_beta(Number const& beta) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (!(beta > 0 && beta <= 1)) check(false, "schedule_free: expected beta above 0 and at most 1, found ", beta);
  }
}

}  // namespace detail

/// By which rate a call counts in the average of `ScheduleFree`.
enum class AverageBy {
  largest_rate,  ///< the largest one so far: the authors' program, so that a falling rate does not freeze the average
  rate           ///< its own: the paper
};

/// A wrapper of any direction u: three points in the memory of two. The slot's weight is y, where gradients are taken;
/// z is the field that the steps move; their average x follows from both and is the evaluation weight
/// (`EvaluationWeights`).
/// Math: y = (1 - β)z + βx; u <- u + λy; z <- z - ηu; x <- (1 - c)x + cz with c = s / Σs over the parameter's calls,
/// s = t^power · η^rate_power, t counts this call, η by `AverageBy`. As the pass does it, with z of before:
/// y <- y + c(z - y) - η(1 - β(1 - c))u; x = y + (1 - 1/β)(z - y). λ is scaled by the parameter's decay multiplier.
/// Any schedule works, also none: c is 0 as long as no call had a rate above 0.
/// Errors (compile time): it must be the last stage that moves the weight or the direction, and no other decay than the
/// coupled one goes with it, since that would move y alone. Run time: `ArgumentError` for β outside (0, 1], where x
/// does not follow from y and z.
/// Source: Defazio et al., arXiv 2405.15682; order of operations of facebookresearch/schedule_free 1.4.1.
template <AverageBy by = AverageBy::largest_rate, class Number = double>
struct ScheduleFree {
  using pipe_role = StageRole;
  using fields = Fields<"z">;
  using carried = Fields<"weight_sum", "lr_max">;
  static constexpr bool changes_direction = true;
  static constexpr bool fields_start_at_weight = true;
  static constexpr bool gives_evaluation_weights = true;
  static constexpr bool divides_the_step = true;

  Number beta = 0.9;
  Number decay = 0;
  double power = 0;
  double rate_power = 2;

  constexpr auto coefficients(auto const& call, auto& numbers) const {
    using Carried = std::remove_cvref_t<decltype(numbers[0])>;
    auto& [sum, largest] = numbers;
    if (largest < call.rate) largest = call.rate;
    Carried const counted = by == AverageBy::rate ? Carried(call.rate) : largest;
    sum = sum + weight(call.calls, counted);
    Carried const c = sum > 0 ? weight(call.calls, counted) / sum : Carried(0);
    using Result = std::remove_cvref_t<decltype(beta * c)>;
    return std::array<Result, 4>{c, call.rate, 1 - beta * (1 - c), decay * call.multipliers.decay};
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& z) {
    V const direction = at.direction + numbers[3] * at.weight;
    at.weight = at.weight + numbers[0] * (z - at.weight);
    z = z - numbers[1] * direction;
    at.direction = numbers[2] * direction;
  }
  template <class V>
  constexpr V evaluation_weight(V const& weight, V const& z) const {
    return weight + (1 - 1 / beta) * (z - weight);
  }
  /// s of a call.
  template <class Rate>
  constexpr Rate weight(std::int64_t calls, Rate const& rate) const {
    using std::pow;
    return pow(static_cast<double>(calls + 1), power) * pow(rate, rate_power);
  }
  std::string name() const {
    return "schedule free " + number(beta) + (decay == 0 ? "" : " decay " + number(decay)) +
           (power == 0 && rate_power == 2 ? "" : " weights t^" + number(power) + " rate^" + number(rate_power)) +
           (by == AverageBy::rate ? " by rate" : "");
  }
};

/// The last stage of a recipe or rule: `recipe("averaged adopt", 1e-3, normalise_by_previous()) | schedule_free()`.
template <AverageBy by = AverageBy::largest_rate>
constexpr ScheduleFree<by> schedule_free(ScheduleFree<by> settings = {}) {
  detail::check_beta(settings.beta);
  return settings;
}

/// The settings of `schedule_free_adamw`.
template <class Number = double>
struct ScheduleFreeAdamSettings {
  Number rate = 2.5e-3;
  Number beta1 = 0.9;  ///< β of `ScheduleFree`: it takes the place of momentum
  Number beta2 = 0.999;
  Number epsilon = 1e-8;
  Number decay = 0;
};

/// The settings of `schedule_free_sgd`.
template <class Number = double>
struct ScheduleFreeSgdSettings {
  Number rate = 1;
  Number beta = 0.9;
  Number decay = 0;
};

template <AverageBy by = AverageBy::largest_rate, class Number>
constexpr auto schedule_free_adamw(ScheduleFreeAdamSettings<Number> settings) {
  detail::check_beta(settings.beta1);
  return recipe("schedule-free adamw", settings.rate,
                Normalise<Epsilon::added, Number>{settings.beta2, settings.epsilon} |
                    ScheduleFree<by, Number>{settings.beta1, settings.decay});
}
/// Math: u = g / (√(v / (1 - β₂^t)) + ε) + λy in `ScheduleFree`. Judge and export by `EvaluationWeights`.
/// Source: schedule_free 1.4.1, AdamWScheduleFree; its warm-up is a schedule here.
/// Example: `scheduled(schedule_free_adamw({.rate = 2.5e-3, .decay = 0.1}), warmup(200))`.
template <AverageBy by = AverageBy::largest_rate>
constexpr auto schedule_free_adamw(ScheduleFreeAdamSettings<> settings = {}) {
  return schedule_free_adamw<by, double>(settings);
}

template <AverageBy by = AverageBy::largest_rate, class Number>
constexpr auto schedule_free_sgd(ScheduleFreeSgdSettings<Number> settings) {
  detail::check_beta(settings.beta);
  return recipe("schedule-free sgd", settings.rate, ScheduleFree<by, Number>{settings.beta, settings.decay});
}
/// Math: u = g + λy in `ScheduleFree`. Source: schedule_free 1.4.1, SGDScheduleFree. Example: `schedule_free_sgd({.rate
/// = 1})`.
template <AverageBy by = AverageBy::largest_rate>
constexpr auto schedule_free_sgd(ScheduleFreeSgdSettings<> settings = {}) {
  return schedule_free_sgd<by, double>(settings);
}

}  // namespace lierne
