// SPDX-License-Identifier: Apache-2.0
// expect: rule: accumulate and unscale may stand in it once
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::accumulate(8) | ln::adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::accumulate(2) | ln::accumulate(4) | ln::adamw())>());
#endif
