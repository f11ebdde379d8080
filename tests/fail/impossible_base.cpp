// SPDX-License-Identifier: Apache-2.0
// expect: Model: scaling\.base_width must be positive, base_layers, base_head_size and output_deviation 0 or more
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .scaling = ln::MuP{.base_width = 64}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .scaling = ln::MuP{.base_width = 0}};
#endif
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
