// SPDX-License-Identifier: Apache-2.0
// expect: Model: mixer\.kv_heads must divide heads \(choose kv_heads so that heads % kv_heads == 0\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 8, .kv_heads = 4}};
#else
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 8, .kv_heads = 3}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
