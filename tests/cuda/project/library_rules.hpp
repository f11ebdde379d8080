// SPDX-License-Identifier: Apache-2.0
// The rule of a library, in no namespace.
#pragma once

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/rule.hpp"

inline constexpr auto library_rule = lierne::clip_norm(2.0) | lierne::amsgrad();
