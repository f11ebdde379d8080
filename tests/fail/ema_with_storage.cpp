// SPDX-License-Identifier: Apache-2.0
// expect: rule: ema and schedule_free keep copies of weights, which store and weights_in do not handle
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/ema.hpp"
#include "lierne/optim/storage.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::store<"exp_avg">(ln::bf16_stochastic))>());
#else
static_assert(ln::check_rule<decltype(ln::adamw() | ln::ema(0.99) | ln::store<"exp_avg">(ln::bf16_stochastic))>());
#endif
