// SPDX-License-Identifier: Apache-2.0
// One run of a sweep before it is run: a model, a rule and the data, with their types erased.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/any_rule.hpp"
#include "lierne/sweep/row.hpp"
#include "lierne/train/train.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <csignal>
#endif

namespace lierne {

/// The data of a trial: a stream that stands after every run where it stood before, so that all see the same batches.
struct TrialData {
  std::uint64_t fingerprint = 0;
  /// Calls its argument with the stream.
  std::function<void(std::function<void(Batches&)> const&)> replay{};
};

/// What the body of a sweep returns. `trial` makes it.
struct Trial {
  std::unique_ptr<Trainable> model;
  AnyRule rule;
  TrialData data;
};

namespace detail {

template <class Data>
TrialData trial_data(Data& data) {
  static_assert(requires { data.seek(data.position()); data.fingerprint(); data.validation(); },
                "trial: the data must be a stream of batches (write text(...) | pack(256) | shuffle(42) | batch(8))");
  return {data.fingerprint(), [&data](std::function<void(Batches&)> const& use) {
            struct Rewound {
              Data& data;
              Position start;
              ~Rewound() { data.seek(start); }
            } const rewound{data, data.position()};
            StreamBatches<Data> batches(data);
            use(batches);
          }};
}

}  // namespace detail

/// Describes a run: nothing is allocated before it starts. The data must outlive the sweep.
/// The rule is a rule, a `scheduled` one, or an `AnyRule`.
/// Example, in a sweep's body: `return trial(Model<spec>{}, scheduled(rule, warmup(20)), data);`
template <class M, class Data>
Trial trial(M model, AnyRule rule, Data& data) {
  auto trained = std::make_unique<detail::TrainableModel<M>>(std::move(model));
  rule = for_model(std::move(rule), trained->facts());
  return {std::move(trained), std::move(rule), detail::trial_data(data)};
}

/// Runs a trial and writes what came of it into `row`: losses, or the step at which it diverged, and what monitor, probes
/// and experts' loads said last.
/// A signal that would have ended the program does: rows of finished runs stay, and this one is run again another time.
/// Errors: those of `Trainer`, but not `NumericError`; `ArgumentError` where no text is held out.
void run_trial(Trial trial, Options const& options, Row& row);

#if LIERNE_BODIES
LIERNE_INLINE void run_trial(Trial trial, Options const& options, Row& row) {
  auto const replay = std::move(trial.data.replay);
  std::vector<double> losses;
  auto const path = options.require_fused ? Path::fused_only : Path::fused;
  Trainer trainer{std::move(trial.model), bind(trial.rule, path), options};
  trainer.observe([&](StepMetrics const& metrics) {
    losses.push_back(metrics.loss);
    row.seconds += metrics.seconds;
    for (auto const* said : {&metrics.optimizer, &metrics.model}) {
      for (auto const& [key, value] : *said) row.measured[key] = value;
    }
  });
  try {
    replay([&](Batches& batches) {
      check(batches.validation_size() > 0, "sweep: expected data with held-out text, found none (TextOptions::validation)");
      auto const result = trainer.fit(batches);
      if (result.stopped) {
        std::raise(SIGINT);
        throw Error("sweep: ended by a signal");  // where the program's own handler has come back
      }
      row.validation_loss = result.validation_loss;
      row.bits_per_byte = result.bits_per_byte;
    });
    if (!std::isfinite(row.validation_loss)) row.diverged_at = static_cast<std::int64_t>(losses.size());
  } catch (NumericError const&) {
    row.diverged_at = static_cast<std::int64_t>(losses.size()) + 1;
  }
  if (!losses.empty()) row.loss = losses.back();
  row.curve = thinned(losses);
}
#endif

}  // namespace lierne
