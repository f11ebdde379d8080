// SPDX-License-Identifier: Apache-2.0
// The unit that holds the bodies of the library's functions that are no templates; see lierne/core/compiled.hpp.
#define LIERNE_COMPILING
#include "lierne/lierne.hpp"
#include "lierne/sweep/sweep.hpp"
