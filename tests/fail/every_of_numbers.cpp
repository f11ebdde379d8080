// SPDX-License-Identifier: Apache-2.0
// expect: every: both arguments must be pieces of a slot \(a piece has `static constexpr Role role`\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr auto position = ln::every<4>(ln::Rope{.base = 1e4}, ln::Rope{.base = 5e5});
#else
constexpr auto position = ln::every<4>(1e4, 5e5);
#endif
