// SPDX-License-Identifier: Apache-2.0
// expect: pipe: the pieces on both sides of \| must have one role .*ln::scheduled
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/schedule.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::scheduled(ln::adamw(), ln::warmup(200));
#else
auto rule = ln::adamw() | ln::warmup(200);
#endif
