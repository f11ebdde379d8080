// SPDX-License-Identifier: Apache-2.0
// expect: '(const )?lierne::Plan' has no non-static data member named 'tensors'
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Plan plan{.shard = ln::rest, .tensor = 2};
#else
constexpr ln::Plan plan{.shard = ln::rest, .tensors = 2};
#endif
