// SPDX-License-Identifier: Apache-2.0
// expect: in_graph: the rule must be one without groups
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/groups.hpp"
#include "lierne/train/step_graph.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule() { return ln::in_graph(ln::scheduled(ln::adamw(), ln::warmup(9))); }
#else
auto rule() { return ln::in_graph(ln::grouped(ln::adamw(), ln::groups(ln::on<ln::Kind::norm>({.decay = 0}), ln::otherwise()))); }
#endif
