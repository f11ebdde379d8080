// SPDX-License-Identifier: Apache-2.0
// expect: &: masks are joined inside of every<N> \(write every<N>\(A & C, B & C\) for every<N>\(A, B\) & C\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr auto mask = ln::every<4>(ln::Causal{} & ln::Documents{.end = 2}, ln::FixedBlock{.size = 64} & ln::Documents{.end = 2});
#else
constexpr auto mask = ln::every<4>(ln::Causal{}, ln::FixedBlock{.size = 64}) & ln::Documents{.end = 2};
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mask = mask};
