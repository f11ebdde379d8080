// SPDX-License-Identifier: Apache-2.0
// expect: &: the two masks must be of different kinds \(of two blocks or two windows keep the smaller\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr auto mask = ln::FixedBlock{.size = 64} & ln::Documents{.end = 2};
#else
constexpr auto mask = ln::FixedBlock{.size = 64} & ln::Documents{.end = 2} & ln::FixedBlock{.size = 256};
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mask = mask};
