// SPDX-License-Identifier: Apache-2.0
// expect: Decoder: \.norm must be a norm \(RmsNorm, or your own with role = Role::norm\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .norm = ln::RmsNorm{.epsilon = 1e-6}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .norm = 1e-6};
#endif
