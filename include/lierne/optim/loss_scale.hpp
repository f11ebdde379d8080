// SPDX-License-Identifier: Apache-2.0
// The scale of the loss that keeps small gradients of half precision from vanishing.
#pragma once

#include <map>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/optimizer.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// How a loss scale moves.
struct LossScaleSettings {
  double start = 65536;
  double growth = 2;             ///< after `interval` steps in a row with finite gradients
  double backoff = 0.5;          ///< after a step that was skipped
  std::int64_t interval = 2000;  ///< optimizer steps
};

/// A number that multiplies the loss, as large as the gradients allow. For rules with `unscale()`.
/// Numerics: the scale is a float32, and stays where growth would make it infinite.
/// Errors: `ArgumentError` for settings outside start > 0, growth >= 1, 0 < backoff <= 1, interval >= 1.
/// Source: torch.amp.GradScaler. Example: `LossScale scale; backward(scale.scaled(loss));`
/// `auto report = optimizer->step(slots, {.step = k, .loss_scale = scale.scale()}); scale.update(report);`
class LossScale {
 public:
  explicit LossScale(LossScaleSettings const& settings = {});

  double scale() const { return scale_; }
  Tensor scaled(Tensor const& loss) const { return loss.mul(scale()); }
  /// After each step. A call that only accumulated changes nothing: one scale for all gradients of a sum.
  void update(StepReport const& report);

  /// The scale and the steps since it changed, under `optim.loss_scale.scale` and `optim.loss_scale.growth_tracker`.
  std::map<std::string, Tensor> state() const;
  /// Errors: `ArgumentError` for a key that is absent.
  void load_state(std::map<std::string, Tensor> const& state);

 private:
  LossScaleSettings settings_;
  float scale_;
  std::int64_t since_change_ = 0;
};

#if LIERNE_BODIES
LIERNE_INLINE LossScale::LossScale(LossScaleSettings const& settings)
    : settings_(settings), scale_(static_cast<float>(settings.start)) {
  bool const moves = settings.growth >= 1 && settings.backoff > 0 && settings.backoff <= 1;
  check(settings.start > 0 && moves && settings.interval >= 1,
        "loss scale: expected start > 0, growth >= 1, 0 < backoff <= 1 and interval >= 1, found ", settings.start, ", ",
        settings.growth, ", ", settings.backoff, " and ", settings.interval);
}

LIERNE_INLINE void LossScale::update(StepReport const& report) {
  if (report.accumulated) return;
  if (report.skipped) {
    scale_ = static_cast<float>(scale_ * settings_.backoff);
    since_change_ = 0;
  } else if (++since_change_ == settings_.interval) {
    auto const grown = static_cast<float>(scale_ * settings_.growth);
    if (grown <= std::numeric_limits<float>::max()) scale_ = grown;
    since_change_ = 0;
  }
}

LIERNE_INLINE std::map<std::string, Tensor> LossScale::state() const {
  return {{"optim.loss_scale.scale", at::full({}, scale_, float32)},
          {"optim.loss_scale.growth_tracker", at::full({}, since_change_, int64)}};
}

LIERNE_INLINE void LossScale::load_state(std::map<std::string, Tensor> const& state) {
  auto const number = [&](char const* key) {
    auto const found = state.find(key);
    check(found != state.end(), "loss scale: expected a state with '", key, "', found none");
    return found->second;
  };
  auto const scale = number("optim.loss_scale.scale"), since = number("optim.loss_scale.growth_tracker");
  scale_ = scale.item<float>();
  since_change_ = since.item<std::int64_t>();
}
#endif

}  // namespace lierne
