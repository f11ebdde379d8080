// SPDX-License-Identifier: Apache-2.0
// expect: weights_in: weights are kept as bf16_nearest, bf16_stochastic, bf16_kahan or bf16_with_master
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/storage.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::adamw() | ln::store<"exp_avg">(ln::eight_bit_blocks);
#else
auto rule = ln::adamw() | ln::weights_in(ln::eight_bit_blocks);
#endif
