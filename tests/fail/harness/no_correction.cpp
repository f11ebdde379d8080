// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed: two is three
static_assert(2 == 3, "two is three");
