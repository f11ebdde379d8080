// SPDX-License-Identifier: Apache-2.0
// expect: rules: it needs a rule \(write rules\(named
#include "lierne/train/rules.hpp"
#include "lierne/optim/adamw.hpp"

namespace ln = lierne;

#ifdef FIXED
auto list = ln::rules(ln::named("adamw", ln::adamw()));
#else
auto list = ln::rules();
#endif
