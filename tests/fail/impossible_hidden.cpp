// SPDX-License-Identifier: Apache-2.0
// expect: Model: channel\.hidden must be positive, given or by rule \(see SwiGlu: multiplier, multiple_of\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::SwiGlu{.multiple_of = 64}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::SwiGlu{.multiple_of = 0}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
