// SPDX-License-Identifier: Apache-2.0
// expect: rule: schedule_free must be the last stage that moves anything
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/schedule_free.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::recipe("mine", 1e-3, ln::momentum() | ln::schedule_free()))>());
#else
static_assert(ln::check_rule<decltype(ln::recipe("mine", 1e-3, ln::schedule_free() | ln::momentum()))>());
#endif
