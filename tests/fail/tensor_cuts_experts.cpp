// SPDX-License-Identifier: Apache-2.0
// expect: Model: plan\.tensor must be 1 with a Moe \(cut the experts by \.shard; the tensor axis does not take them yet\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = ln::every<2>(ln::Moe{}, ln::SwiGlu{})};
#ifdef FIXED
constexpr ln::Plan plan{.shard = ln::rest};
#else
constexpr ln::Plan plan{.shard = ln::rest, .tensor = 2};
#endif
static_assert(ln::detail::CheckedSpec<gpt, plan>::value);
