// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed: two is three
#ifdef FIXED
static_assert(2 == 4, "two is four");
#else
static_assert(2 == 3, "two is three");
#endif
