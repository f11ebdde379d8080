// SPDX-License-Identifier: Apache-2.0
// expect: rule: beside schedule_free a decay would move one of its points alone
#include "lierne/optim/decay.hpp"
#include "lierne/optim/schedule_free.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::schedule_free_adamw({.decay = 0.1}))>());
#else
static_assert(ln::check_rule<decltype(ln::schedule_free_adamw() | ln::decay(0.1, ln::times_rate))>());
#endif
