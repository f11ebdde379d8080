// SPDX-License-Identifier: Apache-2.0
// expect: decay: a form other than coupled must stand after the recipe \(write adamw\(\.\.\.\) \| decay\(0\.1, times_rate\)\)
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::decay(0.1, ln::times_rate))>());
#else
static_assert(ln::check_rule<decltype(ln::decay(0.1, ln::times_rate) | ln::adamw())>());
#endif
