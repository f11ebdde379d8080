// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed
#ifdef FIXED
#endif
static_assert(true);
