// SPDX-License-Identifier: Apache-2.0
// expect: Model: channel\.top_k must be at least 1 and at most experts, shared at least 0 \(see Moe\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Moe moe{.experts = 4, .top_k = 2};
#else
constexpr ln::Moe moe{.experts = 4, .top_k = 8};
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::every<2>(moe, ln::SwiGlu{})};
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
