// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.mixer must be a mixer \(Attention, or your own piece with role = Role::mixer\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::SwiGlu{.hidden = 1024}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = ln::SwiGlu{.hidden = 1024}};
#endif
