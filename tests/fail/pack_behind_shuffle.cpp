// SPDX-License-Identifier: Apache-2.0
// expect: pack: the source must be a stream of tokens \(put pack\(L\) right behind text\(\.\.\.\)\)
#include "lierne/data/pack.hpp"
#include "lierne/data/shuffle.hpp"

namespace ln = lierne;

#ifdef FIXED
auto windows(ln::Text const& text) { return text | ln::pack(8); }
#else
auto windows(ln::Text const& text) { return text | ln::pack(8) | ln::pack(4); }
#endif
