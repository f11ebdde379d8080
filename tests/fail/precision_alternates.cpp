// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.precision must be the same for all layers \(give one precision, not every<N> of two\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .precision = ln::BFloat16{}};
#else
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .precision = ln::every<2>(ln::Float32{}, ln::BFloat16{})};
#endif
