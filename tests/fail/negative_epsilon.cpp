// SPDX-License-Identifier: Apache-2.0
// expect: Model: norm\.epsilon must be 0 or more \(leave it out for 1e-5\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .norm = ln::RmsNorm{.epsilon = 1e-6}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .norm = ln::RmsNorm{.epsilon = -1e-6}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
