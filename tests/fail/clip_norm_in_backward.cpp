// SPDX-License-Identifier: Apache-2.0
// expect: bind_in_backward: clip_norm needs all gradients before the first parameter moves
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/backward_optimizer.hpp"

namespace ln = lierne;

#ifdef FIXED
auto optimizer(std::vector<ln::Slot> slots) { return ln::bind_in_backward(ln::adamw(), slots); }
#else
auto optimizer(std::vector<ln::Slot> slots) { return ln::bind_in_backward(ln::clip_norm(1.0) | ln::adamw(), slots); }
#endif
