// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/compiled.hpp"

#include <doctest/doctest.h>

// This folder is built without the compiled part: headers are complete, and what they define is inline.
static_assert(LIERNE_BODIES == 1);

namespace {
// `inline` twice in a row would not compile as a definition of the same function in two units; here it must be there.
LIERNE_INLINE int answer() { return 42; }
}  // namespace

TEST_CASE("a unit without the compiled part has the bodies") { CHECK(answer() == 42); }

#define LIERNE_TEXT(x) #x
#define LIERNE_TEXT_OF(x) LIERNE_TEXT(x)
static_assert(sizeof(LIERNE_TEXT_OF(LIERNE_INLINE)) == sizeof("inline"));
