// SPDX-License-Identifier: Apache-2.0
// expect: store: a field is stored as bf16_nearest, bf16_stochastic or eight_bit_blocks \(for weights write weights_in\)
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/storage.hpp"

namespace ln = lierne;

#ifdef FIXED
auto rule = ln::adamw() | ln::weights_in(ln::bf16_kahan);
#else
auto rule = ln::adamw() | ln::store<"exp_avg">(ln::bf16_kahan);
#endif
