// SPDX-License-Identifier: Apache-2.0
// expect: probes: each argument must be ActivationRms, ActivationMax, ActivationKurtosis, AttentionLogitMax, or a statistic of your own
#include "lierne/nn/probes.hpp"

namespace ln = lierne;

#ifdef FIXED
using What = ln::ActivationRms;
#else
using What = ln::RmsNorm;
#endif

auto const looks = ln::probes<What>({.every = 100});
