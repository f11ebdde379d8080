// SPDX-License-Identifier: Apache-2.0
// The numbers of a run: of a step, of a validation, of a checkpoint, and a text that the model wrote.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lierne {

/// The numbers of one optimizer step.
struct StepMetrics {
  std::int64_t step = 0;      ///< from 1
  std::int64_t steps = 0;     ///< of the whole run
  double loss = 0;            ///< mean cross entropy before the step, nats a token
  double grad_norm = 0;       ///< before clipping
  double rate = 0;            ///< learning rate that was used
  double tokens_per_s = 0;    ///< of all processes
  double seconds = 0;         ///< this step
  double elapsed = 0;         ///< since the process started, seconds
  std::int64_t tokens = 0;    ///< seen so far by all processes
  double data_seconds = 0;    ///< of this step, waiting for its batch
  bool skipped = false;       ///< nothing moved: no valid label, or a norm that was refused; without a label no loss either (NaN)
  std::map<std::string, double> optimizer{};  ///< of a measured step: the rule's monitor
  std::map<std::string, double> model{};      ///< load of experts; of a measured step: probes, and gradient noise
};

/// A validation: mean cross entropy of the held-out text.
struct ValidationMetrics {
  std::int64_t step = 0;
  double loss = 0;           ///< nats a token
  double bits_per_byte = 0;  ///< nats of all held-out tokens / ln 2 / bytes of held-out text
  double seconds = 0;
};

/// A checkpoint that is on the disk, whole.
struct CheckpointMetrics {
  std::int64_t step = 0;    ///< finished optimizer steps
  std::string path{};       ///< its folder
  std::uint64_t bytes = 0;  ///< of its tensor files
  double seconds = 0;       ///< that the save took
};

/// Text that the model wrote after a step.
struct TextSample {
  std::int64_t step = 0;
  std::string text{};
};

}  // namespace lierne
