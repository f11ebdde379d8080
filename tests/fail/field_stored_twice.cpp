// SPDX-License-Identifier: Apache-2.0
// expect: store: a field is stored in two forms \(leave one out\)
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/storage.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::store<"exp_avg">(ln::bf16_stochastic) | ln::store<"exp_avg_sq">(ln::eight_bit_blocks))>());
#else
static_assert(ln::check_rule<decltype(ln::adamw() | ln::store<"exp_avg">(ln::bf16_stochastic) | ln::store<"exp_avg">(ln::eight_bit_blocks))>());
#endif
