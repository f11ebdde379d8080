// SPDX-License-Identifier: Apache-2.0
// expect: Model: position\.base must be positive, scaling\.factor at least 0, low at most high \(see RopeScaling\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .position = ln::Rope{.base = 1e4}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .position = ln::Rope{.base = 0}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
