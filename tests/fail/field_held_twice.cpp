// SPDX-License-Identifier: Apache-2.0
// expect: rule: two stages keep a field of one name.*label one of the stages: ln::labelled
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::recipe("two", 1e-3, ln::momentum() | ln::labelled<"slow">(ln::momentum())))>());
#else
static_assert(ln::check_rule<decltype(ln::recipe("two", 1e-3, ln::momentum() | ln::momentum()))>());
#endif
