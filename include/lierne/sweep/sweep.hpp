// SPDX-License-Identifier: Apache-2.0
// Many runs in one program, and what they say together. Read docs/sweep.md first.
#pragma once

#include "lierne/sweep/grid.hpp"
#include "lierne/sweep/rate_fit.hpp"
