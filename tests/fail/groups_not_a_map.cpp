// SPDX-License-Identifier: Apache-2.0
// expect: scheduled: the groups must be a map of groups \(write groups\(on<Kind::norm>
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/groups.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::scheduled(ln::adamw(), ln::warmup(9), ln::groups(ln::on<ln::Kind::norm>({.decay = 0}), ln::otherwise()));
#else
auto rule = ln::scheduled(ln::adamw(), ln::warmup(9), ln::on<ln::Kind::norm>({.decay = 0}));
#endif
