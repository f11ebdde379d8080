// SPDX-License-Identifier: Apache-2.0
// expect: rule: it may have one recipe only \(leave one of adamw
#include "lierne/optim/schedule.hpp"
#include "lierne/optim/adopt.hpp"
#include "lierne/optim/adamw.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::scheduled(ln::adopt(), ln::warmup(200));
#else
auto rule = ln::scheduled(ln::adopt() | ln::adamw(), ln::warmup(200));
#endif
