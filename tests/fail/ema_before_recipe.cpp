// SPDX-License-Identifier: Apache-2.0
// expect: ema: it must stand after the recipe \(write adamw\(\.\.\.\) \| ema\(0\.999\)\)
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/ema.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::ema(0.99))>());
#else
static_assert(ln::check_rule<decltype(ln::ema(0.99) | ln::adamw())>());
#endif
