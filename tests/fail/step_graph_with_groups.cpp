// SPDX-License-Identifier: Apache-2.0
// expect: StepGraph: the rule must be one without groups
#include "lierne/nn/model.hpp"
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/groups.hpp"
#include "lierne/train/step_graph.hpp"

namespace ln = lierne;

void train(ln::AnyModel& model) {
#ifdef FIXED
  ln::StepGraph graph(model, ln::scheduled(ln::adamw(), ln::warmup(9)));
#else
  ln::StepGraph graph(model, ln::grouped(ln::adamw(), ln::groups(ln::on<ln::Kind::norm>({.decay = 0}), ln::otherwise())));
#endif
}
