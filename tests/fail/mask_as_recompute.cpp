// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.recompute must be a policy of recomputation \(NoRecompute, RecomputeBlock, RecomputeSelective, or every<N> of two\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .recompute = ln::every<2>(ln::RecomputeBlock{}, ln::NoRecompute{})};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .recompute = ln::Causal{}};
#endif
