// SPDX-License-Identifier: Apache-2.0
// expect: rule: a stage that looks at the moved weight must stand behind all that move it
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/ema.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::decay(0.1, ln::times_rate) | ln::ema(0.99))>());
#else
static_assert(ln::check_rule<decltype(ln::adamw() | ln::ema(0.99) | ln::decay(0.1, ln::times_rate))>());
#endif
