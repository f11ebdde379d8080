// SPDX-License-Identifier: Apache-2.0
// expect: every: both arguments must fill the same slot \(two masks, two positions, \.\.\.\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .position = ln::every<4>(ln::NoPosition{}, ln::Rope{})};
#else
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .position = ln::every<4>(ln::NoPosition{}, ln::Causal{})};
#endif
