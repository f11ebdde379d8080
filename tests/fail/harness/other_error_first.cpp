// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed: half: count must be even
template <int count>
struct Half {
  static_assert(count % 2 == 0, "half: count must be even (round it up)");
};
#ifdef FIXED
Half<4> half;
#else
Halve<3> other;
Half<3> half;
#endif
