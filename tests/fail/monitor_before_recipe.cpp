// SPDX-License-Identifier: Apache-2.0
// expect: monitor: it must stand after the recipe \(write adamw\(\.\.\.\) \| monitor\(\)\)
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/monitor.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::adamw() | ln::monitor())>());
#else
static_assert(ln::check_rule<decltype(ln::monitor() | ln::adamw())>());
#endif
