// SPDX-License-Identifier: Apache-2.0
// expect: Model: loss\.z and loss\.soft_cap must be 0 or more \(0 switches them off\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .loss = ln::CrossEntropy{.z = 1e-4}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .loss = ln::CrossEntropy{.z = -1e-4}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
