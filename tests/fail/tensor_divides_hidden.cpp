// SPDX-License-Identifier: Apache-2.0
// expect: Model: plan\.tensor must divide the channel's hidden size \(lower plan\.tensor, or set channel\.hidden\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::SwiGlu{.hidden = 1368}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::SwiGlu{.hidden = 1366}};
#endif
constexpr ln::Plan plan{.tensor = 4};
static_assert(ln::detail::CheckedSpec<gpt, plan>::value);
