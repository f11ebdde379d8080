// SPDX-License-Identifier: Apache-2.0
// expect: Model: plan degrees must be at least 1, and replicate and shard not both rest \(fix the Plan\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192};
#ifdef FIXED
constexpr ln::Plan plan{.replicate = 2, .shard = ln::rest};
#else
constexpr ln::Plan plan{.replicate = ln::rest, .shard = ln::rest};
#endif
static_assert(ln::detail::CheckedSpec<gpt, plan>::value);
