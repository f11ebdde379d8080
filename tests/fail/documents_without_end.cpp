// SPDX-License-Identifier: Apache-2.0
// expect: Model: mask Documents must name a token of the vocabulary \(give .end, from 0 to vocab - 1\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Documents documents{.end = 8191};
#else
constexpr ln::Documents documents{};
#endif
constexpr ln::Decoder gpt{
    .layers = 8, .width = 512, .vocab = 8192, .mask = ln::every<4>(documents, ln::FixedBlock{.size = 64} & documents)};
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
