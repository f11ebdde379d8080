// SPDX-License-Identifier: Apache-2.0
// expect: weights_in: it must stand after the recipe \(write adamw\(\.\.\.\) \| weights_in\(\.\.\.\)\)
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"
#include "lierne/optim/storage.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::weights_in(ln::bf16_stochastic))>());
#else
static_assert(ln::check_rule<decltype(ln::weights_in(ln::bf16_stochastic) | ln::adamw())>());
#endif
