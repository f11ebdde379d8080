// SPDX-License-Identifier: Apache-2.0
// expect: rule: two stages say by which weights the model is judged
#include "lierne/optim/ema.hpp"
#include "lierne/optim/schedule_free.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::schedule_free_adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::schedule_free_adamw() | ln::ema(0.99))>());
#endif
