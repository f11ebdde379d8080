// SPDX-License-Identifier: Apache-2.0
// expect: Model: \.layers, \.width and \.vocab must be at least 1 \(give all three in the Decoder\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192};
#else
constexpr ln::Decoder gpt{.width = 512, .vocab = 8192};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
