// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed: half: count must be even \(round it up\)
template <int count>
struct Half {
  static_assert(count % 2 == 0, "half: count must be even (round it up)");
};
#ifdef FIXED
Half<4> half;
#else
Half<3> half;
#endif
