// SPDX-License-Identifier: Apache-2.0
// expect: every: N must be at least 1 \(every<1> gives the first argument to all layers\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr auto position = ln::every<1>(ln::NoPosition{}, ln::Rope{});
#else
constexpr auto position = ln::every<0>(ln::NoPosition{}, ln::Rope{});
#endif
