// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.mixer must be a mixer \(Attention, or your own piece with role = Role::mixer\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

struct Average {
#ifdef FIXED
  static constexpr auto role = ln::Role::mixer;
#endif
  int window = 16;
};

constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = Average{}};
