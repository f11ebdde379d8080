// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.mask must be a mask \(Causal, or your own with role = Role::mask\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .position = ln::Rope{.base = 5e5}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mask = ln::Rope{.base = 5e5}};
#endif
