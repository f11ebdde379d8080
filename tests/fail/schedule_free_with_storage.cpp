// SPDX-License-Identifier: Apache-2.0
// expect: rule: schedule_free solves the weight for its average, in which what store and weights_in round would grow
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/ema.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/schedule_free.hpp"
#include "lierne/optim/storage.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::ema(0.99) | ln::store<"exp_avg">(ln::bf16_stochastic))>());
#else
static_assert(ln::check_rule<decltype(ln::schedule_free_adamw() | ln::weights_in(ln::bf16_stochastic))>());
#endif
