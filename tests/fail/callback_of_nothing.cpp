// SPDX-License-Identifier: Apache-2.0
// expect: observe: the function must take an event of a run \(write \[\]\(StepMetrics const& m\)
#include "lierne/train/trainer.hpp"

namespace ln = lierne;

void watch(ln::Trainer& trainer) {
#ifdef FIXED
  trainer.observe([](ln::StepMetrics const&) {});
#else
  trainer.observe([](ln::StepMetrics&) {});
#endif
}
