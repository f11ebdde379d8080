// SPDX-License-Identifier: Apache-2.0
// expect: bind_capturable: a rule with store or weights_in cannot be captured
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/capturable_optimizer.hpp"

namespace ln = lierne;

#ifdef FIXED
auto optimizer = ln::bind_capturable(ln::adamw());
#else
auto optimizer = ln::bind_capturable(ln::adamw() | ln::store<"exp_avg">(ln::bf16_stochastic));
#endif
