// SPDX-License-Identifier: Apache-2.0
// expect: store: the rule keeps no field of the name that is this function's first argument
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/storage.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::store<"exp_avg">(ln::bf16_stochastic))>());
#else
static_assert(ln::check_rule<decltype(ln::adamw() | ln::store<"momentum_buffer">(ln::bf16_stochastic))>());
#endif
