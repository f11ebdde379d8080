// SPDX-License-Identifier: Apache-2.0
// expect: Model: channel\.route_scale, balance and auxiliary must be 0 or more \(leave them out for Llama 4's\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Moe moe{.balance = 0};
#else
constexpr ln::Moe moe{.balance = -1e-3};
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .channel = moe};
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
