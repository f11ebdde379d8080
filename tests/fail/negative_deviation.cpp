// SPDX-License-Identifier: Apache-2.0
// expect: Model: scaling\.deviation and scaling\.embedding_deviation must be 0 or more
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .scaling = ln::Standard{.deviation = 0.01}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .scaling = ln::Standard{.deviation = -0.01}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
