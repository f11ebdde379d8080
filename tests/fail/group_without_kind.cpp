// SPDX-License-Identifier: Apache-2.0
// expect: on: a group needs a kind or a condition \(write on<Kind::norm>
#include "lierne/optim/groups.hpp"

namespace ln = lierne;

#ifdef FIXED
auto map = ln::groups(ln::on<ln::Kind::norm>({.decay = 0}));
#else
auto map = ln::groups(ln::on({.decay = 0}));
#endif
