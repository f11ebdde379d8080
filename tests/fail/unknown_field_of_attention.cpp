// SPDX-License-Identifier: Apache-2.0
// expect: 'lierne::Attention' has no non-static data member named 'head'
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 4}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.head = 4}};
#endif
