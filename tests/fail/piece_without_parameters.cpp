// SPDX-License-Identifier: Apache-2.0
// expect: parameters: your piece must say how many weights it has \(give it `constexpr std::int64_t parameters
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

struct Average {
  static constexpr auto role = ln::Role::mixer;
#ifdef FIXED
  constexpr std::int64_t parameters(int width) const { return width; }
#endif
};

constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = Average{}};
constexpr auto total = ln::parameters(gpt).total();
