// SPDX-License-Identifier: Apache-2.0
// expect: shuffle: the source must give windows \(put pack\(L\) before shuffle\(seed\)\)
#include "lierne/data/pack.hpp"
#include "lierne/data/shuffle.hpp"

namespace ln = lierne;

#ifdef FIXED
auto order(ln::Text const& text) { return text | ln::pack(8) | ln::shuffle(1); }
#else
auto order(ln::Text const& text) { return text | ln::shuffle(1) | ln::pack(8); }
#endif
