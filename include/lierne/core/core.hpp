// SPDX-License-Identifier: Apache-2.0
// What every other folder stands on. Sees the standard library only.
#pragma once

#include "lierne/core/error.hpp"
#include "lierne/core/fixed_string.hpp"
#include "lierne/core/glob.hpp"
#include "lierne/core/hash.hpp"
#include "lierne/core/load_report.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/random.hpp"
#include "lierne/core/roles.hpp"
