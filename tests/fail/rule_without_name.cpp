// SPDX-License-Identifier: Apache-2.0
// expect: rules: each rule needs a name \(write rules\(named
#include "lierne/train/rules.hpp"
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/lion.hpp"

namespace ln = lierne;

#ifdef FIXED
auto list = ln::rules(ln::named("adamw", ln::adamw()), ln::named("lion", ln::lion()));
#else
auto list = ln::rules(ln::named("adamw", ln::adamw()), ln::lion());
#endif
