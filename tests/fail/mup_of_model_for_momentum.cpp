// SPDX-License-Identifier: Apache-2.0
// expect: mup_groups: the rule must divide by a second moment, as adamw and adopt do
#include "lierne/optim/model_groups.hpp"
#include "lierne/optim/adamw.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::scheduled(ln::adamw(), ln::warmup(20), ln::mup_groups(ln::times_rate));
#else
auto rule = ln::scheduled(ln::recipe("sgd", 0.1, ln::momentum()), ln::warmup(20), ln::mup_groups(ln::times_rate));
#endif
