// SPDX-License-Identifier: Apache-2.0
// expect: Model: mask sizes must be at least 1 \(FixedBlock and SlidingWindow count tokens, the query's own among them\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr int size = 1;
#else
constexpr int size = 0;
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192,
                          .mask = ln::Documents{.end = 2} & ln::SlidingWindow{.size = size}};
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
