// SPDX-License-Identifier: Apache-2.0
// expect: unscale: it must stand at the beginning of a rule
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/maximize.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::unscale() | ln::maximize() | ln::adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::maximize() | ln::unscale() | ln::adamw())>());
#endif
