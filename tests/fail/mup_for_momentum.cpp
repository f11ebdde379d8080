// SPDX-License-Identifier: Apache-2.0
// expect: mup_groups: the rule must divide by a second moment, as adamw and adopt do \(for sgd, lion or muon
#include "lierne/optim/mup.hpp"
#include "lierne/optim/adamw.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::grouped(ln::adamw(), ln::mup_groups(ln::times_rate, {.width = 8}));
#else
auto rule = ln::grouped(ln::recipe("sgd", 0.1, ln::momentum()), ln::mup_groups(ln::times_rate, {.width = 8}));
#endif
