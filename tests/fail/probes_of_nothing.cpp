// SPDX-License-Identifier: Apache-2.0
// expect: probes: name what is to be measured \(write probes<ActivationRms>\(\)\)
#include "lierne/nn/probes.hpp"

namespace ln = lierne;

#ifdef FIXED
auto const looks = ln::probes<ln::AttentionLogitMax>({.every = 100});
#else
auto const looks = ln::probes({.every = 100});
#endif
