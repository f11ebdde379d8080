// SPDX-License-Identifier: Apache-2.0
// expect: schedule: its parts must stand in the order warmup, stable, cooldown, each at most once
#include "lierne/optim/schedule.hpp"

namespace ln = lierne;

#ifdef FIXED
auto factor = ln::schedule(ln::warmup(200) | ln::cosine_to(0.1));
#else
auto factor = ln::schedule(ln::cosine_to(0.1) | ln::warmup(200));
#endif
