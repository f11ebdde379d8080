// SPDX-License-Identifier: Apache-2.0
// expect: bind_in_backward: accumulate keeps all gradients until its last call
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/backward_optimizer.hpp"

namespace ln = lierne;

#ifdef FIXED
auto optimizer(std::vector<ln::Slot> slots) { return ln::bind_in_backward(ln::adamw(), slots); }
#else
auto optimizer(std::vector<ln::Slot> slots) { return ln::bind_in_backward(ln::accumulate(4) | ln::adamw(), slots); }
#endif
