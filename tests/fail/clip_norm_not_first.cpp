// SPDX-License-Identifier: Apache-2.0
// expect: clip_norm: it must be the first stage of a rule \(write clip_norm\(1\.0\) \| adamw
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/maximize.hpp"
#include "lierne/optim/rule.hpp"

namespace ln = lierne;

#ifdef FIXED
static_assert(ln::check_rule<decltype(ln::clip_norm(1.0) | ln::maximize() | ln::adamw())>());
#else
static_assert(ln::check_rule<decltype(ln::maximize() | ln::clip_norm(1.0) | ln::adamw())>());
#endif
