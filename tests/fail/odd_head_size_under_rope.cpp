// SPDX-License-Identifier: Apache-2.0
// expect: Model: the head size width / heads must be even under a Rope \(change heads, or use NoPosition\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{
    .layers = 8, .width = 504, .vocab = 8192, .mixer = ln::Attention{.heads = 8}, .position = ln::NoPosition{}};
#else
constexpr ln::Decoder gpt{
    .layers = 8, .width = 504, .vocab = 8192, .mixer = ln::Attention{.heads = 8}, .position = ln::Rope{}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
