// SPDX-License-Identifier: Apache-2.0
// expect: mup_groups: its decay form must be the rule's, or decay is wrong by the width multiplier \(write mup_groups\(times_schedule
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/mup.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::scheduled(ln::adamw() | ln::decay(0.1, ln::times_rate), ln::warmup(9), ln::mup_groups(ln::times_rate, {.width = 8}));
#else
auto rule = ln::scheduled(ln::adamw() | ln::decay(0.1, ln::times_schedule), ln::warmup(9), ln::mup_groups(ln::times_rate, {.width = 8}));
#endif
