// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.scaling must be the same for all layers \(give one parametrisation, not every<N> of two\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .scaling = ln::Standard{.by_depth = false}};
#else
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .scaling = ln::every<2>(ln::Standard{}, ln::Standard{.by_depth = false})};
#endif
