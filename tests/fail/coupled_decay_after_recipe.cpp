// SPDX-License-Identifier: Apache-2.0
// expect: decay: the form coupled must stand before the recipe \(write decay\(0\.1, coupled\) \| adamw
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/decay.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::decay(0.1, ln::coupled) | ln::adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::adamw() | ln::decay(0.1, ln::coupled))>());
#endif
