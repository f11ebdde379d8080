// SPDX-License-Identifier: Apache-2.0
// expect: accumulate: it must stand at the beginning of a rule
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::accumulate(4) | ln::clip_norm(1.0) | ln::adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::clip_norm(1.0) | ln::accumulate(4) | ln::adamw())>());
#endif
