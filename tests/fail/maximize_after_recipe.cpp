// SPDX-License-Identifier: Apache-2.0
// expect: maximize: it must stand before the recipe \(write maximize\(\) \| adamw
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/maximize.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::maximize() | ln::adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::adamw() | ln::maximize())>());
#endif
