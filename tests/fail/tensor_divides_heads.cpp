// SPDX-License-Identifier: Apache-2.0
// expect: Model: plan\.tensor must divide heads and kv_heads \(lower plan\.tensor, or change the mixer\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 8, .kv_heads = 2}};
#ifdef FIXED
constexpr ln::Plan plan{.shard = ln::rest, .tensor = 2};
#else
constexpr ln::Plan plan{.shard = ln::rest, .tensor = 4};
#endif
static_assert(ln::detail::CheckedSpec<gpt, plan>::value);
