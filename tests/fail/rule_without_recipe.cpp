// SPDX-License-Identifier: Apache-2.0
// expect: rule: it needs a recipe, which turns the gradient into a direction \(write clip_norm\(1\.0\) \| adamw
#include "lierne/optim/schedule.hpp"
#include "lierne/optim/adamw.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::scheduled(ln::clip_norm(1.0) | ln::recipe("mine", 1e-3, ln::momentum()), ln::warmup(200));
#else
auto rule = ln::scheduled(ln::clip_norm(1.0) | ln::momentum(), ln::warmup(200));
#endif
