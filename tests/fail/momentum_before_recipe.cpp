// SPDX-License-Identifier: Apache-2.0
// expect: rule: a stage before the recipe changes the direction, which starts with the recipe
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::recipe("mine", 1e-3, ln::momentum() | ln::normalise()))>());
#else
static_assert(ln::check_rule<decltype(ln::momentum() | ln::recipe("mine", 1e-3, ln::normalise()))>());
#endif
