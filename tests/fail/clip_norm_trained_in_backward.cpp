// SPDX-License-Identifier: Apache-2.0
// expect: bind_in_backward: clip_norm needs all gradients before the first parameter moves
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/backward_optimizer.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule() { return ln::in_backward(ln::scheduled(ln::adamw(), ln::warmup(9))); }
#else
auto rule() { return ln::in_backward(ln::scheduled(ln::clip_norm(1.0) | ln::adamw(), ln::warmup(9))); }
#endif
